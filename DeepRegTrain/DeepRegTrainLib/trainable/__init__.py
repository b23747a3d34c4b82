"""The networks of DeepRegLib as the trainer sees them: what they take of a pair and what they are punished for."""
