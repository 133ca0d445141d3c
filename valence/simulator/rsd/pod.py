# SPDX-License-Identifier: Apache-2.0
"""What an RSD pod can be told and how it is built from that."""

from oslo_config import cfg

from valence.simulator.pods import CannotBuild, Pod, Site
from valence.simulator.rsd.generate import Shape
from valence.simulator.rsd.model import PROFILES
from valence.simulator.rsd.service import Behaviour, Service

OPTIONS = (
    cfg.StrOpt("profile", default="2.5", choices=sorted(PROFILES),
               help="Version of the API."),
    cfg.IntOpt("racks", default=2, min=1, max=10000,
               help="Racks in the pod."),
    cfg.IntOpt("sleds", default=8, min=0, max=1000000,
               help="Compute sleds, each with processors, memory, drives "
                    "and interfaces of its own."),
    cfg.IntOpt("nvme", default=8, min=0, max=1000000,
               help="Pooled NVMe drives, for the sleds of their rack."),
    cfg.IntOpt("volumes", default=4, min=0, max=1000000,
               help="Remote volumes (iSCSI targets in 2.1)."),
    cfg.IntOpt("gpus", default=4, min=0, max=1000000,
               help="One sled in so many has a GPU; 0 for none. In 2.1 none "
                    "has."),
    cfg.FloatOpt("allocate-delay", default=0.2, min=0,
                 help="Seconds a node is Allocating."),
    cfg.FloatOpt("assemble-delay", default=0.5, min=0,
                 help="Seconds a node is Assembling."),
    cfg.FloatOpt("power-delay", default=0.2, min=0,
                 help="Seconds between the answer to a reset and the change "
                      "of PowerState."),
    cfg.IntOpt("page-size", default=0, min=0,
               help="Members per page of a collection; 0 does not page."),
    cfg.BoolOpt("absolute-location", default=False,
                help="Answer an allocation with an absolute Location."),
)


def build(conf: cfg.ConfigOpts, site: Site) -> Pod:
    """The pod that ``conf`` describes."""
    try:
        return Service(
            Shape(seed=conf.seed, racks=conf.racks, sleds=conf.sleds,
                  nvme=conf.nvme, volumes=conf.volumes, gpus=conf.gpus),
            Behaviour(profile=conf.profile, username=conf.username,
                      password=conf.password, auth=conf.auth,
                      allocate_delay=conf.allocate_delay,
                      assemble_delay=conf.assemble_delay,
                      power_delay=conf.power_delay,
                      page_size=conf.page_size,
                      scheme=_scheme(conf)),
            site)
    except (OSError, KeyError, ValueError, AssertionError) as error:
        # The history is of a pod of another shape.
        raise CannotBuild("its state is not that of a pod with these "
                          f"options: {error!r}.") from error


def _scheme(conf: cfg.ConfigOpts) -> str:
    """Of absolute links, empty where they are not."""
    if not conf.absolute_location:
        return ""
    return "https" if conf.tls_cert else "http"
