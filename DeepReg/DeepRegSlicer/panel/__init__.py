"""The parts of the panel: each wires its widgets of ``DeepReg.ui`` to the parameter node and to the work behind it."""
