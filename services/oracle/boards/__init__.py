"""External leaderboards: submissions, queries and late scores, over HTTP or Kaggle."""
