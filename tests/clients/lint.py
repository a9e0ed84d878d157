"""What redbot and httplint have to say of a resource; ends with 1 where any of it is bad, or nothing was said.

Usage: python lint.py URL [FIELD: VALUE...]
"""

import subprocess
import sys
from configparser import ConfigParser

import thor
from redbot.resource import HttpResource

url, fields = sys.argv[1], sys.argv[2:]
settings = ConfigParser()
settings.read_dict({"redbot": {"enable_local_access": "True"}})
resource = HttpResource(settings["redbot"])
resource.set_request(url, headers=[tuple(field.split(": ", 1)) for field in fields])


@thor.events.on(resource)
def check_done() -> None:
    thor.stop()


resource.check()
thor.run()
said = [("redbot", note.level.name, str(note.summary)) for note in resource.response.notes]

answer = subprocess.run(["curl", "-si", *(part for field in fields for part in ("-H", field)), url], check=True, capture_output=True).stdout
# What it prints is [LEVEL] and a sentence; its exit status is always 0.
linted = subprocess.run([sys.prefix + "/bin/httplint", "-n"], input=answer, check=True, capture_output=True)
if linted.stderr:
    said.append(("httplint", "BAD", linted.stderr.decode().strip()))
for line in linted.stdout.decode().splitlines():
    if line.startswith("* ["):
        level, summary = line[3:].split("] ", 1)
        said.append(("httplint", level, summary))

for who, level, summary in said:
    print(f"{who}: {level}: {summary}")
if any(level == "BAD" for _, level, _ in said):
    sys.exit(1)
if {who for who, _, _ in said} != {"redbot", "httplint"}:
    sys.exit("one of them said nothing")
