# Nothing of this module is for Python; see _batch.pxd.
