"""Events hold no text of samples: every field that could hold any words is listed here, with what it holds instead.

Text that may speak of people lies in artifacts, which events name by hash and which can be erased. Whoever adds a field
of free text decides here which kind it is; a prompt, an answer, an output or a row has no kind.
"""

from schemas import registry

FORM = "the form of the question, written by the operator into the campaign file"
NAMES = "a name that the campaign file, the code or a library gives"
PLACES = "where an artifact lies"
WORDS = "sentences that our code composes of names and numbers, or that a person gives a reason with"
FAILURES = "a class of failure, and a message that `services.runtime.telemetry.redaction` lets through"

ADVICE = "a model's own words, from the endpoint of the campaign's constitution: bounded, freed of control characters, \
fed to no later decision, and written by one that was shown numbers and names alone"

FREE = {
    "CampaignStarted.campaign.constitution.data.filters.classifiers[].drop[]": NAMES,
    "CampaignStarted.campaign.constitution.data.filters.classifiers[].model": PLACES,
    "CampaignStarted.campaign.constitution.data.filters.languages[]": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].answer": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].config": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].dataset": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].licence": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].prompt": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].revision": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].split": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].tasks[]": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].text": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].trace": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].licence_column": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].uri_column": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].paths[]": PLACES,
    "CampaignStarted.campaign.constitution.guards[].include": PLACES,
    "CampaignStarted.campaign.constitution.space[].values[]": NAMES,
    "CampaignStarted.campaign.constitution.space[].values[][]": NAMES,
    "CampaignStarted.campaign.constitution.target.include": PLACES,
    "CampaignStarted.campaign.model.base": PLACES,
    "CampaignStarted.campaign.recipe.target_modules[]": NAMES,
    "CampaignStarted.substrate.base_uri": PLACES,
    "DataFailed.error": FAILURES,
    "DataFailed.message": FAILURES,
    "DataBatchReady.card.uri": PLACES,
    "DataBatchReady.harvest.uri": PLACES,
    "DataBatchReady.rows.<key>": NAMES,
    "DataBatchReady.tokens.<key>": NAMES,
    "DataBatchReady.uri": PLACES,
    "DataBatchReady.yields[].domain": NAMES,
    "DataBatchReady.yields[].dropped.<key>": NAMES,
    "DataBatchReady.yields[].skipped.<key>": NAMES,
    "DataBatchReady.yields[].source": NAMES,
    "RecipeProposed.changes[].after": NAMES,
    "RecipeProposed.changes[].after[]": NAMES,
    "RecipeProposed.changes[].before": NAMES,
    "RecipeProposed.changes[].before[]": NAMES,
    "RecipeProposed.changes[].knob": NAMES,
    "RecipeProposed.intervention": NAMES,
    "RecipeProposed.recipe.target_modules[]": NAMES,
    "TrainingStarted.worker": NAMES,
    "CheckpointTrained.coverage.modules.<key>": NAMES,
    "CheckpointTrained.uri": PLACES,
    "TrainingFailed.error": FAILURES,
    "TrainingFailed.message": FAILURES,
    "ScoresReported.receipt.uri": PLACES,
    "ScoresReported.stamp.engine": NAMES,
    "ScoresReported.stamp.harness": NAMES,
    "ScoresReported.stamp.precision": NAMES,
    "EvaluationFailed.error": FAILURES,
    "EvaluationFailed.message": FAILURES,
    "FingerprintsPublished.uri": PLACES,
    "GuardsReported.receipt.uri": PLACES,
    "GuardsReported.stamp.engine": NAMES,
    "GuardsReported.stamp.harness": NAMES,
    "GuardsReported.stamp.precision": NAMES,
    "GuardsUnmeasured.error": FAILURES,
    "GuardsUnmeasured.message": FAILURES,
    "SubmissionsChosen.confirm[].reason": WORDS,
    "SubmissionsChosen.external[].reason": WORDS,
    "SubmissionsChosen.final[].reason": WORDS,
    "DriftAssessed.scopes[].highest_dev.candidate": NAMES,
    "DriftAssessed.scopes[].highest_target.candidate": NAMES,
    "DriftAssessed.scopes[].scope": NAMES,
    "DriftAssessed.words": WORDS,
    "DriftDetected.assessment.highest_dev.candidate": NAMES,
    "DriftDetected.assessment.highest_target.candidate": NAMES,
    "DriftDetected.assessment.scope": NAMES,
    "DriftDetected.words": WORDS,
    "DriftCleared.scope": NAMES,
    "DriftCleared.words": WORDS,
    "PolicyUpdated.changed[]": WORDS,
    "PolicyUpdated.policy.axes[].knob": NAMES,
    "PolicyUpdated.policy.axes[].values[]": NAMES,
    "PolicyUpdated.policy.axes[].values[][]": NAMES,
    "PolicyUpdated.policy.dead_ends[].evidence[]": NAMES,
    "PolicyUpdated.policy.dead_ends[].knob": NAMES,
    "PolicyUpdated.policy.dead_ends[].reason": WORDS,
    "PolicyUpdated.policy.dead_ends[].value": NAMES,
    "PolicyUpdated.policy.dead_ends[].value[]": NAMES,
    "PolicyUpdated.policy.distrusted[].scope": NAMES,
    "PolicyUpdated.policy.interventions[].name": NAMES,
    "PolicyUpdated.policy.interventions[].trials[]": NAMES,
    "PolicyUpdated.policy.mode": NAMES,
    "PolicyUpdated.policy.standing.target_modules[]": NAMES,
    "PolicyUpdated.policy.standing_from": NAMES,
    "PolicyUpdated.why": WORDS,
    "CampaignFinished.why": WORDS,
    "CampaignPaused.by": NAMES,
    "CampaignPaused.reason": WORDS,
    "CampaignResumed.by": NAMES,
    "CampaignResumed.reason": WORDS,
    "CampaignStopped.by": NAMES,
    "CampaignStopped.reason": WORDS,
    "DecisionRefused.article": NAMES,
    "DecisionRefused.decision": NAMES,
    "DecisionRefused.message": WORDS,
    "CampaignStarted.campaign.constitution.advisor.model": NAMES,
    "CampaignStarted.campaign.warm.axes[].knob": NAMES,
    "CampaignStarted.campaign.warm.axes[].values[]": NAMES,
    "CampaignStarted.campaign.warm.axes[].values[][]": NAMES,
    "CampaignStarted.campaign.warm.campaign": NAMES,
    "CampaignStarted.campaign.warm.dead_ends[].evidence[]": NAMES,
    "CampaignStarted.campaign.warm.dead_ends[].knob": NAMES,
    "CampaignStarted.campaign.warm.dead_ends[].value": NAMES,
    "CampaignStarted.campaign.warm.dead_ends[].value[]": NAMES,
    "AdvisorAnswered.model": ADVICE,
    "AdvisorAnswered.proposals[].changes[]": ADVICE,
    "AdvisorAnswered.proposals[].reason": ADVICE,
    "AdvisorAnswered.words": ADVICE,
    "AdvisorFailed.error": FAILURES,
    "AdvisorFailed.message": FAILURES,
    "CampaignStarted.campaign.constitution.data.sources[].answer_pattern": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].chosen": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].completion": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].domain_column": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].form": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].messages": NAMES,
    "CampaignStarted.campaign.constitution.data.sources[].rejected": NAMES,
    "CampaignStarted.campaign.constitution.suites[].answer": NAMES,
    "CampaignStarted.campaign.constitution.suites[].columns.answer": NAMES,
    "CampaignStarted.campaign.constitution.suites[].columns.answer_pattern": NAMES,
    "CampaignStarted.campaign.constitution.suites[].columns.chosen": NAMES,
    "CampaignStarted.campaign.constitution.suites[].columns.completion": NAMES,
    "CampaignStarted.campaign.constitution.suites[].columns.domain": NAMES,
    "CampaignStarted.campaign.constitution.suites[].columns.messages": NAMES,
    "CampaignStarted.campaign.constitution.suites[].columns.prompt": NAMES,
    "CampaignStarted.campaign.constitution.suites[].columns.rejected": NAMES,
    "CampaignStarted.campaign.constitution.suites[].columns.trace": NAMES,
    "CampaignStarted.campaign.constitution.suites[].options.*": NAMES,
    "CampaignStarted.campaign.constitution.suites[].options.*[]": NAMES,
    "CampaignStarted.campaign.constitution.suites[].options.<key>": NAMES,
    "CampaignStarted.campaign.constitution.suites[].pin.sets.<key>": NAMES,
    "CampaignStarted.campaign.constitution.suites[].score[].kind": NAMES,
    "CampaignStarted.campaign.constitution.suites[].score[].options.*": NAMES,
    "CampaignStarted.campaign.constitution.suites[].score[].options.*[]": NAMES,
    "CampaignStarted.campaign.constitution.suites[].score[].options.<key>": NAMES,
    "CampaignStarted.campaign.constitution.suites[].tasks[].settings.*": NAMES,
    "CampaignStarted.campaign.constitution.suites[].tasks[].settings.*[]": NAMES,
    "CampaignStarted.campaign.constitution.suites[].tasks[].settings.<key>": NAMES,
    "CampaignStarted.campaign.constitution.suites[].tasks[].target.*": NAMES,
    "CampaignStarted.campaign.constitution.suites[].tasks[].target.*[]": NAMES,
    "CampaignStarted.campaign.constitution.suites[].tasks[].target.<key>": NAMES,
    "CampaignStarted.campaign.constitution.suites[].taskset": NAMES,
    "CampaignStarted.campaign.constitution.suites[].all": PLACES,
    "CampaignStarted.campaign.constitution.suites[].eval": PLACES,
    "CampaignStarted.campaign.constitution.suites[].dev": PLACES,
    "CampaignStarted.campaign.constitution.suites[].confirm": PLACES,
    "CampaignStarted.campaign.constitution.suites[].target": PLACES,
    "CampaignStarted.campaign.constitution.suites[].final": PLACES,
    "CampaignStarted.campaign.constitution.suites[].file": PLACES,
    "CampaignStarted.campaign.constitution.suites[].include": PLACES,
    "CampaignStarted.campaign.model.prompt.shots[].completion": FORM,
    "CampaignStarted.campaign.model.prompt.shots[].prompt": FORM,
    "CampaignStarted.campaign.model.prompt.stop[]": FORM,
    "CampaignStarted.campaign.model.prompt.suffix": FORM,
    "CampaignStarted.campaign.model.prompt.system": FORM,
}


def free_text(node, defs, path):
    """Every place below a schema where any words may stand: a text without pattern or choices, or a free key."""
    if "$ref" in node:
        node = {**defs[node["$ref"].rpartition("/")[2]], **node}
    for form in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from free_text(form, defs, path)
    if node.get("type") == "string" and not {"pattern", "enum", "const"} & node.keys():
        yield path
    for name, about in node.get("properties", {}).items():
        yield from free_text(about, defs, f"{path}.{name}")
    if "items" in node:
        yield from free_text(node["items"], defs, f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield f"{path}.<key>"
        yield from free_text(node["additionalProperties"], defs, f"{path}.*")
    for about in node.get("patternProperties", {}).values():
        yield from free_text(about, defs, f"{path}.*")


def test_every_field_that_may_hold_any_words_is_known_and_none_holds_samples():
    found = set()
    for name in registry.EVENTS:
        schema = registry.json_schema(name)
        found |= set(free_text(schema, schema.get("$defs", {}), name))
    new = sorted(found - FREE.keys())
    assert not new, f"free text in events: {new}; put samples into an artifact, or list what the field holds"
    assert FREE.keys() <= found, "a field of the list is gone or no longer free"


def test_a_field_for_a_sample_would_be_found():
    schema = {"properties": {"rows": {"items": {"properties": {"prompt": {"type": "string"}}}}}}
    assert list(free_text(schema, {}, "X")) == ["X.rows[].prompt"]
