"""Scores one text: what `helm test` runs, with the image's own Python."""

import json
import os
import urllib.request

TEXT = "Every word of this text has its own probability."
headers = {"Content-Type": "application/json"}
if keys := os.environ.get("KEYS", "").strip():
    headers["Authorization"] = "Bearer " + (json.loads(keys)[0] if keys.startswith("[") else keys)
body = json.dumps({"sentences": [TEXT]}).encode()
request = urllib.request.Request(os.environ["URL"], body, headers)
with urllib.request.urlopen(request, timeout=60) as response:
    answer = json.load(response)
(scores,) = answer["probabilities"]
if len(scores) != len(TEXT.split()) or not all(0 <= score <= 1 for score in scores):
    raise SystemExit(f"{len(scores)} scores for {len(TEXT.split())} words: {scores}")
print(answer["metadata"]["model_version"], scores)
