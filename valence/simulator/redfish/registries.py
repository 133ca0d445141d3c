# SPDX-License-Identifier: Apache-2.0
"""Where a client reads what the messages mean."""

from valence.simulator.redfish.messages import VERSIONS, registry
from valence.simulator.redfish.model import ROOT, Pod
from valence.simulator.resources import Collection, Document, Resource

REGISTRIES = f"{ROOT}/Registries"


def publish(pod: Pod) -> None:
    """Add the message registries to ``pod``."""
    files: dict[str, Resource] = {}
    for prefix, version in VERSIONS.items():
        uri = f"{REGISTRIES}/{prefix}"
        name = f"{prefix}.{version}"
        content = f"{uri}/{name}.0.json"
        pod.add(Document(content, {
            "@odata.id": content,
            "@odata.type": "#MessageRegistry.v1_7_0.MessageRegistry",
            "Id": f"{name}.0",
            "Name": f"{prefix} Message Registry",
            "Description": f"The messages of {prefix} that this service "
                           "sends",
            "Language": "en",
            "RegistryPrefix": prefix,
            "RegistryVersion": f"{version}.0",
            "OwningEntity": "DMTF",
            "Messages": registry(prefix),
        }))
        file = Document(uri, {
            "@odata.id": uri,
            "@odata.type": "#MessageRegistryFile.v1_1_5.MessageRegistryFile",
            "Id": prefix,
            "Name": f"{prefix} Message Registry File",
            "Registry": name,
            "Languages": ["en"],
            "Location": [{"Language": "en", "Uri": content}],
        })
        pod.add(file)
        files[uri] = file
    pod.add(Collection(REGISTRIES, "MessageRegistryFileCollection",
                       "Message Registries", files))
