# SPDX-License-Identifier: Apache-2.0
"""What a simulated ExpEther Manager can be told, and how it is built."""

from typing import Any

from oslo_config import cfg

from valence.simulator.eem.generate import Shape
from valence.simulator.eem.service import ROOT, Behaviour, Service
from valence.simulator.pods import CannotBuild, Site

BASE = ROOT

_MOST = 1_000_000

OPTIONS = (
    cfg.IntOpt("compute", default=Shape.compute, min=0, max=_MOST,
               help="EESVs, each the ExpEther side of one server."),
    cfg.IntOpt("nvme", default=Shape.nvme, min=0, max=_MOST,
               help="EEIOs with an NVMe drive."),
    cfg.IntOpt("storage", default=Shape.storage, min=0, max=_MOST,
               help="EEIOs with a storage controller."),
    cfg.IntOpt("nic", default=Shape.nic, min=0, max=_MOST,
               help="EEIOs with a network adapter."),
    cfg.IntOpt("gpu", default=Shape.gpu, min=0, max=_MOST,
               help="EEIOs with a GPU."),
    cfg.IntOpt("accelerator", default=Shape.accelerator, min=0, max=_MOST,
               help="EEIOs with another processing accelerator."),
    cfg.IntOpt("usb", default=Shape.usb, min=0, max=_MOST,
               help="EEIOs with a USB controller."),
    cfg.IntOpt("legacy", default=Shape.legacy, min=0, max=_MOST,
               help="EEIOs of 10g and 1g, which do not say what PCIe device "
                    "they carry."),
    cfg.IntOpt("down", default=Shape.down, min=0, max=_MOST,
               help="How many of all EEIOs do not answer."),
    cfg.IntOpt("max-eeio", default=Shape.max_eeio, min=1, max=64,
               help="Most EEIOs of one EESV; of the 10g ones at most 8."),
    cfg.BoolOpt("check-update-time", default=True,
                help="Refuse a change that names another update_time than "
                     "the device has; --no-check-update-time ignores it."),
)


def build(conf: Any, site: Site) -> Service:
    """The pod that ``conf`` describes."""
    if conf.auth == "session":
        raise CannotBuild("an ExpEther Manager has no sessions; use "
                          "auth=basic or auth=none.")
    return Service(
        Shape(seed=conf.seed, compute=conf.compute, nvme=conf.nvme,
              storage=conf.storage, nic=conf.nic, gpu=conf.gpu,
              accelerator=conf.accelerator, usb=conf.usb,
              legacy=conf.legacy, down=conf.down, max_eeio=conf.max_eeio),
        Behaviour(conf.username, conf.password,
                  "none" if conf.auth == "none" else "basic",
                  conf.check_update_time), site.ledger)
