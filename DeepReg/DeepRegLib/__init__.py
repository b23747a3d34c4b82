"""DeepRegLib: registration of two scans of the same anatomy. Knows nothing of Slicer, Qt or MRML.

>>> import DeepRegLib
>>> DeepRegLib.__version__
'0.1.0'
"""

__version__ = "0.1.0"
