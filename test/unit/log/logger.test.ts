import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { PenstockError } from '../../../src/errors.js';
import { createLogger } from '../../../src/log/logger.js';

function capture() {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (text: string) => void lines.push(JSON.parse(text) as Record<string, unknown>) };
  return { lines, log: createLogger({ level: 'info', process: 'worker-3', destination }) };
}

describe('createLogger', () => {
  it('writes one JSON line with the process and a level in words', () => {
    const { lines, log } = capture();
    log.debug('not this');
    log.info({ listen: [':554'] }, 'ready');
    expect(lines).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        pid: process.pid,
        process: 'worker-3',
        listen: [':554'],
        msg: 'ready',
      },
    ]);
  });

  it('lifts the code of an error to where it can be searched', () => {
    const { lines, log } = capture();
    log.warn({ err: new PenstockError('PENSTOCK_ERR_NO_SERVICE', 'all down') }, 'refused');
    log.warn({ err: new PenstockError('PENSTOCK_ERR_NO_SERVICE', 'all down'), code: 'mine' }, 'refused');
    log.warn({ err: new Error('plain') }, 'refused');
    expect(lines.map(({ code }) => code)).toEqual(['PENSTOCK_ERR_NO_SERVICE', 'mine', undefined]);
    expect(lines[0]?.err).toMatchObject({ message: 'all down' });
  });

  it('writes every line of a process of many, in order, soon after it was logged', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'penstock-log-'));
    const fd = openSync(join(folder, 'log'), 'w');
    try {
      const log = createLogger({ level: 'info', process: 'worker-0', gather: true, fd });
      const numbers = Array.from({ length: 200 }, (_, number) => number);
      for (const number of numbers) log.info({ number }, 'a line');
      await vi.waitFor(() => {
        const lines = readFileSync(join(folder, 'log'), 'utf8').trimEnd().split('\n');
        expect(lines.map((line) => (JSON.parse(line) as { number: number }).number)).toEqual(numbers);
      });
    } finally {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    }
  });
});
