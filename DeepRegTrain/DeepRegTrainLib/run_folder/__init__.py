"""The folder that is the whole truth of a training run: settings, data, checkpoints, numbers, pictures."""
