# SPDX-License-Identifier: Apache-2.0
"""How is a secret that leaked found, and what would make it leak?

``Backend`` is a pod manager that repeats what it was sent, ``Recorder`` a
relay in front of the broker, ``traces`` the search.
"""

import base64
import html
import http.server
import json
import select
import socket
import threading
import urllib.parse

import fixtures

#: In every secret, and whole in most of its encodings.
CORE = 'Kx7Zq9Wv3Tb5Rnd'

#: What passwords may hold, and what breaks where they are quoted wrongly.
SECRETS = {
    'spaces': f'  {CORE}1 with  spaces ',
    'url': f'{CORE}2@host:443/%2e?a=b&c=d#e+f',
    'quotes': f'"{CORE}3\'`\\"; DROP --',
    'beyond ASCII': f'{CORE}4 äßñ€ 漢字 \U0001f511',
    'latin': f'\xff\xfe{CORE}5\x80\xa0',
    'JSON': f'{{"password": "{CORE}6", "a": [null, 1e9]}}',
    'markup': f'<b>{CORE}7</b> &amp; <!-- ${{x}} %s {{0}} -->',
    'newline': f'{CORE}8\nSet-Cookie: a\r\n\t\x1b[31m',
    'long': f'{CORE}9' + 'x' * 4000,
}

#: What a session is given out as.
TOKEN = f'token-{CORE}-0'

_PIECES = 3


def forms(secret):
    """What ``secret`` may look like, as bytes."""
    texts = {
        secret, repr(secret), html.escape(secret),
        json.dumps(secret), json.dumps(secret, ensure_ascii=False),
        urllib.parse.quote(secret), urllib.parse.quote(secret, safe=''),
        urllib.parse.quote_plus(secret), secret.encode().hex(),
        repr(secret.encode()), repr(secret.encode('latin-1', 'replace'))}
    found = {text.strip('"\'').encode() for text in texts}
    for data in (secret.encode(), CORE.encode()):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            for shift in range(_PIECES):
                # What is before and behind decides the characters there.
                found.add(encode(b' ' * shift + data)[4:-4])
    found |= {CORE.encode(), CORE.encode('utf-16-le'),
              CORE.encode().hex().encode()}
    return {form for form in found if len(form) > 6}


ALL_FORMS = frozenset().union(*map(forms, (*SECRETS.values(), TOKEN)))


def traces(data):
    """The places in ``data``, bytes, where any form of a secret is."""
    hits = []
    for form in ALL_FORMS:
        at = data.find(form)
        if at >= 0:
            hits.append(data[max(at - 60, 0):at + len(form) + 20])
    return hits


class Recorder(fixtures.Fixture):
    """Relays a TCP port and keeps all bytes, of both directions."""

    def __init__(self, host, port):
        self._target = (host, port)
        self._chunks = []

    def _setUp(self):
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        self._open = []
        self.addCleanup(self._close)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def seen(self):
        return b''.join(self._chunks)

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            self._open += [near, far]
            threading.Thread(target=self._relay, args=(near, far),
                             daemon=True).start()

    def _relay(self, near, far):
        others = {near: far, far: near}
        try:
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    self._chunks.append(data)
                    others[ready].sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            near.close()
            far.close()

    def _close(self):
        for one in (self._listener, *self._open):
            # What is being waited for in a select is not let go by close().
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()


class Backend(fixtures.Fixture):
    """A Redfish service that wants ``secret``, or repeats all it is sent.

    :param mode: ``session`` and ``basic`` accept the secret; ``json``,
        ``html`` and ``header`` answer each authenticated request with an
        error that repeats it, in that place; ``login`` does so with the
        request for a session
    """

    def __init__(self, secret, mode):
        self.secret, self.mode = secret, mode
        #: What came with a wrong secret, and how much with the right one.
        self.wrong, self.right = [], 0

    def _setUp(self):
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *args):
                pass

            def do_GET(self):
                backend.answer(self, b'')

            def do_POST(self):
                backend.answer(self, self.rfile.read(
                    int(self.headers['Content-Length'])))

            do_DELETE = do_GET

        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        server.daemon_threads = True
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.port = server.server_address[1]
        self.url = f'http://127.0.0.1:{self.port}'
        threading.Thread(target=server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def answer(self, request, body):
        sessions = self.mode in ('session', 'login')
        path = request.path.rstrip('/')
        if path == '/redfish/v1':
            links = {'Sessions': {'@odata.id': '/redfish/v1/Sessions'}}
            return self._send(request, 200, {
                '@odata.id': '/redfish/v1/', 'RedfishVersion': '1.15.0',
                'Links': links if sessions else {},
                'Systems': {'@odata.id': '/redfish/v1/Systems'},
                'Chassis': {'@odata.id': '/redfish/v1/Chassis'}})
        if path == '/redfish/v1/Sessions' and request.command == 'POST':
            known = self._knows(json.loads(body)['Password'])
            if not known:
                return self._echo(request, body, 401)
            if self.mode == 'session':
                return self._send(request, 201, {
                    '@odata.id': '/redfish/v1/Sessions/1'},
                    {'X-Auth-Token': TOKEN,
                     'Location': '/redfish/v1/Sessions/1'})
            return self._echo(request, body)
        if self.mode == 'session':
            if request.headers['X-Auth-Token'] != TOKEN:
                return self._echo(request, body, 401)
        else:
            sent = request.headers['Authorization'] or ''
            known = self._knows(base64.b64decode(
                sent.removeprefix('Basic ')).decode().partition(':')[2])
            if not known or self.mode != 'basic':
                return self._echo(request, body, 500 if known else 401)
        return self._send(request, 200, {
            '@odata.id': path, 'Members': [], 'Members@odata.count': 0})

    def _knows(self, password):
        if password == self.secret:
            self.right += 1
            return True
        self.wrong.append(password)
        return False

    def _send(self, request, status, body, headers=()):
        text = json.dumps(body).encode()
        request.send_response(status)
        for name, value in dict(headers).items():
            request.send_header(name, value)
        request.send_header('Content-Length', str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def _echo(self, request, body, status=500):
        said = f'refused {request.headers} {self.secret} {body.decode()}'
        if self.mode != 'html':
            text = json.dumps({'error': {
                'code': f'Base.1.0.{self.secret}', 'message': said,
                '@Message.ExtendedInfo': [
                    {'MessageId': f'Base.1.0.{said}', 'Message': said},
                    {'MessageId': 'Base.1.0.Quoted',
                     'Message': json.dumps(said) + urllib.parse.quote(
                         self.secret) + html.escape(self.secret)}]}}).encode()
        else:
            text = (f'<html><b>{html.escape(said)}</b><i>{said}</i>'
                    f'{json.dumps(said)}</html>').encode()
        request.send_response(status)
        request.send_header('Content-Length', str(len(text)))
        if self.mode == 'header':
            # A line without a colon, which libraries like to complain about.
            request.wfile.write(b''.join(request._headers_buffer))
            request._headers_buffer = []
            line = ' '.join(f'{request.headers}'.split()).encode(
                'latin-1', 'replace')
            request.wfile.write(b'broken ' + line.replace(b':', b' ')
                                + b'\r\n')
        request.end_headers()
        request.wfile.write(text)
