# Nothing of this module is for Python; see _request_lines.pxd.
