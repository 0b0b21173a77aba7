# Nothing of this module is for Python; see _known_keys.pxd.
