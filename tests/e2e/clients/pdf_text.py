"""Reads a PDF as a reader does: prints its pages' text and its metadata as JSON. usage: FILE"""

import json
import sys

from pypdf import PdfReader

reader = PdfReader(sys.argv[1], strict=True)
print(json.dumps({"pages": [page.extract_text() for page in reader.pages], "title": reader.metadata.title}))
