# SPDX-License-Identifier: Apache-2.0
"""How can a node be reset, and what can it boot from?

What is not here no client can ask for, so no driver says that it can.
"""

#: DSP0268, Resource.ResetType.
RESET_TYPES = (
    'On', 'ForceOn', 'ForceOff', 'GracefulShutdown', 'GracefulRestart',
    'ForceRestart', 'PowerCycle', 'PushPowerButton', 'Nmi', 'Pause',
    'Resume', 'Suspend', 'FullPowerCycle',
)

#: DSP0268, ComputerSystem.BootSource, as far as no second value is needed:
#: UefiTarget and UefiBootNext say nothing without one.
BOOT_TARGETS = (
    'None', 'Pxe', 'Floppy', 'Cd', 'Usb', 'Hdd', 'BiosSetup', 'Utilities',
    'Diags', 'UefiShell', 'SDCard', 'UefiHttp', 'RemoteDrive', 'Recovery',
)
