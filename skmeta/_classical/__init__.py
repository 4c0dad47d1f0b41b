"""Models of the textbooks: linear and logistic mixed models, pooled estimators."""
