"""Writes the tables of packages/contracts/src/aws/hosts.ts from the endpoint rules that botocore publishes.

    pip install botocore
    python tools/generate-aws-hosts.py

For every service it asks the service's own endpoint rules for its hosts (plain, FIPS, dual stack; several regions of each
partition), takes what is left of the region as the label, and refuses to write if one label has two signing names.
"""

import collections
import json
import pathlib
import re

import botocore
import botocore.session
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import BotoCoreError, UnknownServiceError

AWS = pathlib.Path(__file__).parent.parent / "packages/contracts/src/aws"
REGIONS = {
    "aws": ["us-east-1", "us-east-2", "eu-central-1", "ap-southeast-2"],
    "aws-us-gov": ["us-gov-west-1", "us-gov-east-1"],
    "aws-cn": ["cn-north-1", "cn-northwest-1"],
}
SUFFIXES = [".amazonaws.com.cn", ".api.amazonwebservices.com.cn", ".api.aws", ".amazonaws.com"]
REGION = re.compile(r"^(?:us|eu|ap|sa|ca|me|af|il|mx|cn|us-gov)-[a-z]+-\d+$")
SAMPLE_EVERY = 40


def hosts_of_all_services():
    """host -> the scopes it is signed with, in the order of REGIONS."""
    loader = botocore.session.get_session().get_component("data_loader")
    partitions = loader.load_data("partitions")
    hosts = collections.defaultdict(list)
    for service in loader.list_available_services("service-2"):
        metadata = loader.load_service_model(service, "service-2")["metadata"]
        if "v4" not in json.dumps(metadata.get("auth", metadata.get("signatureVersion", "v4"))):
            continue
        try:
            rules = loader.load_service_model(service, "endpoint-rule-set-1")
        except UnknownServiceError:
            continue
        provider = EndpointProvider(rules, partitions)
        name = metadata.get("signingName") or metadata["endpointPrefix"]
        for region in (region for regions in REGIONS.values() for region in regions):
            for fips in (False, True):
                for dual_stack in (False, True):
                    built_in = {"AWS::Region": region, "AWS::UseFIPS": fips, "AWS::UseDualStack": dual_stack}
                    given = {
                        key: built_in[parameter["builtIn"]]
                        for key, parameter in rules["parameters"].items()
                        if parameter.get("builtIn") in built_in
                    }
                    try:
                        endpoint = provider.resolve_endpoint(**given)
                    except BotoCoreError:
                        continue
                    schemes = [s for s in endpoint.properties.get("authSchemes") or [] if s["name"].startswith("sigv4")]
                    scheme = schemes[0] if schemes else {}
                    host = re.sub(r"^https?://", "", endpoint.url).split("/")[0].lower()
                    scope = (scheme.get("signingName") or name, scheme.get("signingRegion") or region)
                    if scope not in hosts[host]:
                        hosts[host].append(scope)
    return hosts


def label_of(labels):
    kept = [label for label in labels if label not in ("dualstack", "fips")]
    return ".".join(re.sub(r"-fips$|^fips-", "", label) for label in kept)


def main():
    names, region_less, samples = {}, {}, {}
    for index, (host, scopes) in enumerate(sorted(hosts_of_all_services().items())):
        suffix = next((suffix for suffix in SUFFIXES if host.endswith(suffix)), None)
        if suffix is None:
            continue
        labels = host[: -len(suffix)].split(".")
        if REGION.match(labels[-1]):
            label = label_of(labels[:-1])
            for service, region in scopes:
                if region != labels[-1]:
                    raise SystemExit(f"{host} is signed for {region}")
                if names.setdefault(label, service) != service:
                    raise SystemExit(f"{label} is signed as {names[label]} and as {service}")
        elif not any(REGION.match(label) for label in labels) and len({service for service, _ in scopes}) == 1:
            # A host that several regions share has no one region of its own, unless it is a global service of `aws`.
            regions = [region for _, region in scopes]
            if len(regions) > 1 and regions[0] != "us-east-1":
                continue
            if len(regions) > 2:
                continue
            region_less[host] = scopes[0]
        else:
            continue
        if index % SAMPLE_EVERY == 0 or host in region_less:
            samples[host] = scopes[0]

    source = f"endpoint rules of botocore {botocore.__version__} (Apache-2.0), written by tools/generate-aws-hosts.py"
    lines = [
        f"// From the {source}. Do not edit.",
        "",
        "/** What stands left of the region in a host, without FIPS and dual-stack marks, and the signing name it means. */",
        "export const SIGNING_NAMES: ReadonlyMap<string, string> = new Map([",
        *(f"  ['{label}', '{name}']," for label, name in sorted(names.items())),
        "])",
        "",
        "/** Hosts that name no region, and the service and region they are signed for. */",
        "export const REGION_LESS_HOSTS: ReadonlyMap<string, readonly [service: string, region: string]> = new Map([",
        *(f"  ['{host}', ['{service}', '{region}']]," for host, (service, region) in sorted(region_less.items())),
        "])",
        "",
    ]
    (AWS / "hosts.generated.ts").write_text("\n".join(lines))
    rows = ",\n".join(f"  {json.dumps([host, *scope])}" for host, scope in sorted(samples.items()))
    (AWS / "hosts.samples.json").write_text(f"[\n{rows}\n]\n")
    print(f"{len(names)} labels, {len(region_less)} hosts without a region, {len(samples)} samples")


if __name__ == "__main__":
    main()
