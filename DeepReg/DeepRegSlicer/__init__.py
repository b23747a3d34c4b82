"""Registration results in 3D Slicer: everything that talks to MRML, VTK or Qt."""
