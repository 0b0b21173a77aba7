"""The library in plain Python: the same names and behaviour as the compiled modules.

It is the definition that the compiled modules are tested against, and the
backend that ``SIGIL_NATIVE_PURE=1`` asks for. It is written to be read: each
module states one format, with the section of the standard that it follows.
"""
