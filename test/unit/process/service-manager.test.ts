import { expect, it } from 'vitest';
import { createLogger } from '../../../src/log/logger.js';
import { ServiceManager } from '../../../src/process/service-manager.js';

function manager(socket: string | undefined, fails = false) {
  const said: [path: string, text: string][] = [];
  const lines: string[] = [];
  const binding = {
    monotonicMs: () => 1234.5678,
    sendUnixDatagram: (path: string, text: string) => {
      if (fails) throw Object.assign(new Error('ENOENT: nobody'), { code: 'ENOENT' });
      said.push([path, text]);
    },
  };
  const log = createLogger({ level: 'info', process: 'test', destination: { write: (line) => void lines.push(line) } });
  return {
    manager: new ServiceManager({ socket, binding, log }),
    said,
    lines,
    texts: () => said.map(([, text]) => text),
  };
}

it('tells of a life in the words of sd_notify', () => {
  const { manager: it, said, texts } = manager('/run/systemd/notify');
  it.ready();
  it.reloading();
  it.reloaded();
  it.stopping(61_500);
  expect(texts()).toEqual([
    'READY=1',
    'RELOADING=1\nMONOTONIC_USEC=1234568',
    'READY=1',
    'STOPPING=1\nEXTEND_TIMEOUT_USEC=61500000',
  ]);
  expect(new Set(said.map(([path]) => path))).toEqual(new Set(['/run/systemd/notify']));
});

it('says nothing of a reload before it is ready, nor once it is ending', () => {
  const { manager: it, texts } = manager('@notify');
  it.reloading();
  it.reloaded();
  it.ready();
  it.stopping(0);
  it.reloading();
  it.reloaded();
  expect(texts()).toEqual(['READY=1', 'STOPPING=1\nEXTEND_TIMEOUT_USEC=0']);
});

it('names its successor, and is silent then', () => {
  const { manager: it, texts } = manager('@notify');
  it.ready();
  it.succeededBy(4321);
  it.reloading();
  it.stopping(1);
  expect(texts()).toEqual(['READY=1', 'MAINPID=4321']);
});

it.each([undefined, ''])('has nobody to talk to where NOTIFY_SOCKET is %j', (socket) => {
  const { manager: it, said, lines } = manager(socket);
  it.ready();
  it.stopping(1);
  expect([...said, ...lines]).toEqual([]);
});

it('lives on where it is not heard, and the log tells', () => {
  const { manager: it, lines } = manager('/run/nobody', true);
  it.ready();
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 'warn',
    code: 'ENOENT',
    msg: 'the service manager could not be told READY=1',
  });
});
