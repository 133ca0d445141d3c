# SPDX-License-Identifier: Apache-2.0
"""The examples in etc/ are taken by the programs that they are for.

Their packages are in bindep.txt (profile test-examples), and .ci/run unpacks
what is not installed into .programs; what is not at hand skips.
"""

import os
import pathlib
import re
import shutil
import subprocess

import fixtures
import requests
import testtools
from oslo_config import cfg

from valence.conductor.service import patience
from valence.conf import conductor
from valence.tests.functional.processes import (
    PATIENCE,
    Deployment,
    Process,
    free_port,
    script,
    wait_for,
)

ROOT = pathlib.Path(__file__).parents[3]
UNPACKED = ROOT / '.programs/usr'


class Examples(testtools.TestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)

    def program(self, name):
        found = shutil.which(name, path=os.pathsep.join((
            os.environ['PATH'], '/usr/sbin', '/sbin',
            f'{UNPACKED}/sbin', f'{UNPACKED}/bin')))
        if found is None:
            self.skipTest(f'{name} is not at hand')
        if found.startswith(f'{UNPACKED}/'):
            self.useFixture(fixtures.EnvironmentVariable(
                'LD_LIBRARY_PATH', os.pathsep.join(
                    map(str, UNPACKED.glob('lib/*-linux-gnu')))))
        return found

    def example(self, name, *changes):
        """An example, with what is particular to a site replaced."""
        text = (ROOT / 'etc' / name).read_text()
        for pattern, replacement in changes:
            text, count = re.subn(pattern, replacement, text)
            self.assertGreater(count, 0, pattern)
        path = self.directory / pathlib.Path(name).name
        path.write_text(text)
        return path

    def run_check(self, *command):
        done = subprocess.run(command, text=True, capture_output=True,
                              timeout=PATIENCE)
        said = done.stdout + done.stderr
        self.assertEqual(0, done.returncode, said)
        return said

    def certificate(self):
        self.run_check(
            self.program('openssl'), 'req', '-x509', '-newkey', 'rsa:2048',
            '-nodes', '-keyout', str(self.directory / 'key'), '-out',
            str(self.directory / 'cert'), '-days', '2', '-subj',
            '/CN=valence.example.org', '-addext',
            'subjectAltName=IP:127.0.0.1')
        return (('/etc/ssl/certs/[a-z.]+', str(self.directory / 'cert')),
                ('/etc/ssl/private/[a-z.]+', str(self.directory / 'key')))

    def test_systemd(self):
        verify = self.program('systemd-analyze')
        for service in ('valence-api', 'valence-conductor'):
            unit = self.example(
                f'systemd/{service}.service',
                (f'/opt/valence/bin/{service}', script(service)))
            said = self.run_check(verify, 'verify', str(unit))
            self.assertEqual([], [line for line in said.splitlines()
                                  if service in line])
            # The score of systemd: 0 is tight, 10 is open.
            said = subprocess.run(
                [verify, 'security', '--offline=true', '--threshold=25',
                 str(unit)], text=True, capture_output=True,
                timeout=PATIENCE)
            if 'unrecognized option' not in said.stderr:
                self.assertEqual(0, said.returncode, said.stdout[-300:])

    def test_systemd_waits_for_a_conductor_that_drains(self):
        conf = cfg.ConfigOpts()
        conductor.register(conf)
        conf([])
        unit = (ROOT / 'etc/systemd/valence-conductor.service').read_text()
        granted = int(re.search(r'(?m)^TimeoutStopSec=(\d+)$', unit)[1])
        self.assertGreater(granted, patience(conf))
        before = patience(conf)
        conf.set_override('drain_timeout', 1000.5, 'conductor')
        self.assertEqual(
            1000.5 + before - 60, patience(conf) - 0.5)

    def test_logrotate(self):
        logrotate = self.program('logrotate')
        (self.directory / 'valence.log').write_text('line\n')
        path = self.example(
            'logrotate.d/valence', ('/var/log/valence', str(self.directory)),
            (r'(su|create 0640) valence valence', r'\1 root root'))
        path.chmod(0o644)
        said = self.run_check(logrotate, '--debug', '--state',
                              str(self.directory / 'state'), str(path))
        self.assertIn('considering log', said)
        self.assertNotIn('error', said)

    def test_apache(self):
        apache = self.program('apache2')
        library = pathlib.Path(apache).parents[1] / 'lib/apache2/modules'
        if not (library / 'mod_wsgi.so').exists():
            self.skipTest('mod_wsgi is not at hand')
        site = self.example(
            'apache2/valence.conf', *self.certificate(),
            ('/opt/valence/share/valence', str(self.directory)),
            ('python-home=/opt/valence', 'python-home=/usr'),
            ('user=valence group=valence', ''),
            ('/var/log/apache2', str(self.directory)),
            ('443', str(free_port())))
        modules = [name for name in (
            'mpm_event', 'authz_core', 'authz_host', 'ssl', 'wsgi',
            'reqtimeout', 'socache_shmcb', 'log_config', 'env', 'alias')
            if (library / f'mod_{name}.so').exists()]
        main = self.directory / 'apache2.conf'
        main.write_text('\n'.join((
            f'ServerRoot {self.directory}', 'ServerName localhost',
            f'PidFile {self.directory}/pid',
            f'ErrorLog {self.directory}/error.log',
            'LogFormat "%h" combined',
            *(f'LoadModule {name}_module {library}/mod_{name}.so'
              for name in modules), f'Include {site}')) + '\n')
        self.assertIn('Syntax OK', self.run_check(
            apache, '-t', '-f', str(main)))
        compile((ROOT / 'etc/apache2/application.wsgi').read_text(),
                'application.wsgi', 'exec')

    def test_nginx(self):
        nginx = self.program('nginx')
        deployment = self.useFixture(Deployment(
            self, 'sqlite', broker=False,
            api={'enable_proxy_headers': True}))
        port = free_port()
        site = self.example(
            'nginx/valence.conf', *self.certificate(),
            ('127.0.0.1:8181', f'127.0.0.1:{deployment.port}'),
            (r'listen 443 ssl', f'listen 127.0.0.1:{port} ssl'),
            (r'    listen \[::\]:443 ssl;\n', ''))
        main = self.directory / 'nginx.conf'
        paths = '\n'.join(
            f'{name}_temp_path {self.directory}/{name};' for name in
            ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        main.write_text(
            f'pid {self.directory}/pid; error_log stderr; daemon off;\n'
            f'events {{}}\nhttp {{ access_log off; {paths}\n'
            f'include {site}; }}\n')
        self.run_check(nginx, '-t', '-c', str(main), '-p',
                       str(self.directory))

        # And it does what it says.
        deployment.start_api(command='valence-standalone')
        self.useFixture(Process('nginx', nginx, '-c', str(main), '-p',
                                str(self.directory)))
        url = f'https://127.0.0.1:{port}'
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.directory / 'cert')

        def answers():
            try:
                return session.get(url, timeout=PATIENCE, headers={
                    # A client is not believed.
                    'X-Forwarded-Host': 'evil.example',
                    'X-Forwarded-Proto': 'http',
                    'Forwarded': 'host=evil.example;proto=http'})
            except requests.ConnectionError:
                return None

        answer = wait_for('nginx answers', answers)
        self.assertEqual(200, answer.status_code)
        link = answer.json()['versions'][0]['links'][0]['href']
        self.assertEqual(f'{url}/v1', link)
        self.assertEqual(200, session.get(
            f'{url}/healthcheck', timeout=PATIENCE).status_code)
        self.assertEqual(413, session.post(
            f'{url}/v1/flavors', data=b' ' * 1100000,
            timeout=PATIENCE).status_code)
