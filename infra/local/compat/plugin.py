"""A provider of Terraform and OpenTofu as they use it: its own program, spoken to by their plugin protocol, version 5. What they do themselves is here as little as
a single resource needs: the state is kept in memory, and a configuration is a dictionary.
"""

import importlib
import json
import pathlib
import subprocess
import sys
import tempfile

import grpc
import grpc_tools.protoc
import msgpack

COOKIE = {"TF_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2", "PLUGIN_PROTOCOL_VERSIONS": "5"}
LONGEST = 120  # seconds of a call
NOTHING = msgpack.packb(None)


class Refused(Exception):
    """What the provider complains of."""


def protocol(proto, into):
    """Imports the messages and the client that a file of Protocol Buffers describes; into is a directory for what is made of it."""
    google = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    made = ["protoc", f"-I{proto.parent}", f"-I{google}", f"--python_out={into}", f"--grpc_python_out={into}", str(proto)]
    if grpc_tools.protoc.main(made) != 0:
        raise Refused(f"protoc does not take {proto}")
    sys.path.insert(0, str(into))
    return importlib.import_module(proto.stem + "_pb2"), importlib.import_module(proto.stem + "_pb2_grpc")


class Provider:
    """A running provider that was configured with its environment alone. modules is what protocol returns."""

    def __init__(self, program, modules, env):
        self.messages, services = modules
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([program], env={**env, **COOKIE}, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        said = self.process.stdout.readline().strip().split("|")
        if len(said) < 5 or said[1] != "5":
            raise Refused(f"the provider said {said} instead of where it listens")
        self.channel = grpc.insecure_channel(f"unix:{said[3]}", options=[("grpc.max_receive_message_length", -1)])
        self.client = services.ProviderStub(self.channel)
        self.schema = self.call("GetSchema", "GetProviderSchema")
        config = self.value(filled(self.schema.provider.block, {}))
        prepared = self.call("PrepareProviderConfig", "PrepareProviderConfig", config=config)
        self.call("Configure", "Configure", terraform_version="1.10.7", config=prepared.prepared_config)

    def stop(self):
        self.channel.close()
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()
        self.errors.close()

    def call(self, method, message, **fields):
        answer = getattr(self.client, method)(getattr(self.messages, message).Request(**fields), timeout=LONGEST)
        wrong = [f"{d.summary} {d.detail}" for d in answer.diagnostics if d.severity == self.messages.Diagnostic.ERROR]
        if wrong:
            raise Refused("; ".join(wrong))
        return answer

    def value(self, v):
        return self.messages.DynamicValue(msgpack=v if isinstance(v, bytes) else msgpack.packb(v))

    def read(self, kind, **config):
        """Reads a data source."""
        given = self.value(filled(self.schema.data_source_schemas[kind].block, config))
        self.call("ValidateDataSourceConfig", "ValidateDataSourceConfig", type_name=kind, config=given)
        return unpacked(self.call("ReadDataSource", "ReadDataSource", type_name=kind, config=given).state.msgpack)


class Resource:
    """A resource with its state, which is empty until it is applied."""

    def __init__(self, provider, kind):
        self.provider, self.kind = provider, kind
        self.block = provider.schema.resource_schemas[kind].block
        self.packed, self.private = NOTHING, b""

    @property
    def state(self):
        return unpacked(self.packed)

    def plan(self, config):
        """Plans what a configuration, or None for none, would change. Returns the whole plan and the names of what it changes."""
        p = self.provider
        given = filled(self.block, config) if config is not None else None
        kept = self.state or {}
        proposed = given and {**given, **{a.name: kept.get(a.name) for a in self.block.attributes if a.computed and given[a.name] is None}}
        if given:
            p.call("ValidateResourceTypeConfig", "ValidateResourceTypeConfig", type_name=self.kind, config=p.value(given))
        plan = p.call("PlanResourceChange", "PlanResourceChange", type_name=self.kind, prior_state=p.value(self.packed), prior_private=self.private,
                      config=p.value(given), proposed_new_state=p.value(proposed))
        planned = unpacked(plan.planned_state.msgpack) or {}
        changes = sorted(a.name for a in self.block.attributes if ordered(a, kept.get(a.name)) != ordered(a, planned.get(a.name)))
        return given, plan, changes

    def apply(self, config):
        """Makes or changes the resource, reads it again, and wants that nothing is left to change. None destroys it."""
        given, plan, _ = self.plan(config)
        if self.packed != NOTHING and plan.requires_replace:
            raise Refused(f"{self.kind} would be replaced because of {plan.requires_replace}")
        p = self.provider
        done = p.call("ApplyResourceChange", "ApplyResourceChange", type_name=self.kind, prior_state=p.value(self.packed), planned_state=plan.planned_state,
                      config=p.value(given), planned_private=plan.planned_private)
        self.packed, self.private = done.new_state.msgpack, done.private
        if config is None:
            return
        self.refresh()
        if self.state is None:
            raise Refused(f"{self.kind} is gone after it was made")
        if changes := self.plan(config)[2]:
            raise Refused(f"the plan after it was applied still changes {', '.join(changes)}: {self.state}")

    def refresh(self):
        p = self.provider
        seen = p.call("ReadResource", "ReadResource", type_name=self.kind, current_state=p.value(self.packed), private=self.private)
        self.packed, self.private = seen.new_state.msgpack, seen.private


def filled(block, config):
    """A configuration with everything that it does not say."""
    whole = {a.name: config.get(a.name) for a in block.attributes}
    if unknown := set(config) - set(whole):
        raise Refused(f"there is no {', '.join(unknown)}")
    for b in block.block_types:
        whole[b.type_name] = [] if b.nesting in (b.LIST, b.SET) else None
    return whole


def unpacked(packed):
    return msgpack.unpackb(packed, strict_map_key=False)


def ordered(attribute, value):
    """The value so that two sets of the same elements are equal."""
    kind = json.loads(attribute.type)
    return sorted(value, key=str) if value and isinstance(value, list) and kind[0] == "set" else value
