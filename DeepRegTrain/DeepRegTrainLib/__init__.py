"""Training of the networks of SlicerDeepReg: synthetic pairs, losses, runs that can be resumed, export.

Stands on DeepRegLib, which knows nothing of it, and knows nothing of Slicer.
"""
