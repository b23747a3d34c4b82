"""The panel of the module DeepRegTrain: runs that outlive Slicer, previews of training pairs, models."""
