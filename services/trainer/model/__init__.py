"""The model of a training job: loading, adapter or full weights, attention, output head, export."""
