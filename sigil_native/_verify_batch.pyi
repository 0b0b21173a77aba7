# Nothing of this module is for Python; see _verify_batch.pxd.
