# SPDX-License-Identifier: Apache-2.0
"""How is a password had that is kept elsewhere, in Barbican say?

By its reference, through castellan, at the moment when a conductor needs it.
castellan is an optional dependency (``pip install valence[castellan]``) and
is imported only where ``[secrets] backend`` names it.

Its sessions know no timeout, and none can be given to them. So each question
is asked aside.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from oslo_context import context as oslo_context

from valence.common import aside, deadline
from valence.common.vault import Vault, VaultError

#: Seconds that the answer to a question may take.
TIMEOUT = 30.0
#: So many questions may be without an answer at a time.
_MOST_WAITING = 16


class KeyManager:
    """The passwords that ``[key_manager]`` leads to.

    :raises VaultError: castellan is not installed, or not configured
    """

    def __init__(self, conf: Any) -> None:
        self._places = threading.BoundedSemaphore(_MOST_WAITING)
        try:
            from castellan import key_manager
            from castellan.common import utils
        except ImportError as error:
            raise VaultError(
                '[secrets] backend is castellan, which is not installed; '
                'run "pip install valence[castellan]"') from error
        try:
            self._manager = key_manager.API(conf)
            conf.register_opts(utils.credential_opts, utils.OPT_GROUP)
            # Of Valence itself: who gave the reference is gone by now.
            self._context: Any = (
                utils.credential_factory(conf)
                if conf.key_manager.auth_type
                else oslo_context.RequestContext(overwrite=False))
        except Exception as error:
            raise VaultError('castellan cannot be used: see '
                             f'[key_manager] ({error})') from error

    def password(self, reference: str) -> str:
        """What is kept under ``reference``, an id or a URL that ends in it.

        Only the id counts: which key manager is asked is configuration.

        :raises VaultError: it is not to be had, now or at all
        """
        ident = reference.rstrip('/').rpartition('/')[2]
        try:
            found = self._ask(lambda: self._manager.get(
                self._context, ident).get_encoded())
            return found.decode() if isinstance(found, bytes) else str(found)
        except TimeoutError as error:
            raise VaultError(f'{error}; secret {ident} was asked for') from (
                None)
        except Exception as error:
            # Its text might have more in it than the name of the problem.
            raise VaultError(
                f'the key manager does not give secret {ident} '
                f'({type(error).__name__}); see that it is there, and that '
                'Valence may read it') from None

    def _ask(self, question: Callable[[], Any]) -> Any:
        """The answer, or the error that came instead of one.

        :raises TimeoutError: neither came in time
        """
        seconds = max(deadline.remaining(TIMEOUT), 0.0)

        def held() -> Any:
            try:
                return question()
            finally:
                self._places.release()

        if not self._places.acquire(timeout=seconds):
            raise TimeoutError(f'{_MOST_WAITING} questions to the key manager '
                               'are without an answer')
        return aside.ask('key-manager', held, seconds, 'the key manager gave '
                         f'no answer within {seconds:.0f} s')


def reader(conf: Any, vault: Vault) -> Any:
    """Turns a stored token into credentials: username and password.

    :raises VaultError:
    """
    manager = (KeyManager(conf) if conf.secrets.backend == 'castellan'
               else None)

    def read(token: str) -> Mapping[str, str]:
        items = vault.decrypt(token)
        reference = items.pop('secret_ref', None)
        if reference is not None:
            if manager is None:
                raise VaultError('the password is kept elsewhere, and '
                                 '[secrets] backend is not castellan')
            items['password'] = manager.password(reference)
        return items

    return read
