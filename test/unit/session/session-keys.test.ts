import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadSessionKeys, parseSessionKeys } from '../../../src/session/session-keys.js';

const A = 'a1'.repeat(32);
const B = 'B2'.repeat(32);
const KEY_FILE_ERROR = expect.objectContaining({ code: 'PENSTOCK_ERR_KEY_FILE' });

// What another process does between our look and our link().
let beforeLink = (): void => {};
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const linkSync: typeof fs.linkSync = (from, to) => {
    beforeLink();
    fs.linkSync(from, to);
  };
  return { ...fs, linkSync };
});

let dir: string;
beforeEach(() => {
  beforeLink = () => {};
  dir = mkdtempSync(join(tmpdir(), 'penstock-keys-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe('key file', () => {
  it.each([
    ['one line', A, [A]],
    ['two lines', `${A}\n${B}\n`, [A, B]],
    ['comments, blank lines and CRLF', `# new\r\n${A}  # since May\r\n\r\n  ${B}\r\n#end`, [A, B]],
  ])('reads %s', (_name, text, keys) => {
    expect(parseSessionKeys(text, 'k').map((key) => key.toString('hex'))).toEqual(keys.map((k) => k.toLowerCase()));
  });

  it.each([
    ['nothing', ''],
    ['only comments', '# 1\n# 2\n'],
    ['a short line', A.slice(1)],
    ['a long line', `${A}0`],
    ['no hex', `${A.slice(0, 63)}g`],
    ['three keys', `${A}\n${B}\n${A}`],
    ['two keys on a line', `${A} ${B}`],
  ])('refuses %s', (_name, text) => {
    expect(() => parseSessionKeys(text, 'k')).toThrow(KEY_FILE_ERROR);
  });

  it('names the file and the line, and never shows the content', () => {
    const path = join(dir, 'bad');
    writeFileSync(path, `# ok\n${'5ecre7'.repeat(5)}\n`);
    expect(() => loadSessionKeys(path, dir)).toThrow(
      `session key file ${path}: line 2: expected 64 hex characters, got 30`,
    );
    expect(() => loadSessionKeys(path, dir)).not.toThrow('5ecre7');
  });

  it('must exist where one is named', () => {
    expect(() => loadSessionKeys(join(dir, 'none'), dir)).toThrow(KEY_FILE_ERROR);
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe('generated key', () => {
  it('is made once, for its owner only, in a state directory that is made too', () => {
    const state = join(dir, 'new', 'state');
    const [first] = loadSessionKeys(undefined, state);
    expect(first).toHaveLength(32);
    expect(loadSessionKeys(undefined, state)).toEqual([first]);
    expect(statSync(join(state, 'session.key')).mode & 0o777).toBe(0o600);
    expect(readdirSync(state)).toEqual(['session.key']);
  });

  it('differs from one state directory to another', () => {
    expect(loadSessionKeys(undefined, join(dir, 'a'))).not.toEqual(loadSessionKeys(undefined, join(dir, 'b')));
  });

  it('is not replaced when the file is spoilt', () => {
    writeFileSync(join(dir, 'session.key'), 'x');
    expect(() => loadSessionKeys(undefined, dir)).toThrow(KEY_FILE_ERROR);
  });

  it('fails with the state directory where it cannot be kept', () => {
    writeFileSync(join(dir, 'file'), '');
    expect(() => loadSessionKeys(undefined, join(dir, 'file'))).toThrow(
      expect.objectContaining({ code: 'PENSTOCK_ERR_STATE_DIR' }),
    );
  });

  it('is the one of the first process, where two start at once', () => {
    beforeLink = () => writeFileSync(join(dir, 'session.key'), B);
    expect(loadSessionKeys(undefined, dir).map((key) => key.toString('hex'))).toEqual([B.toLowerCase()]);
    expect(readdirSync(dir)).toEqual(['session.key']);
  });

  it('leaves nothing behind where the file system refuses', () => {
    beforeLink = () => {
      throw Object.assign(new Error('no links here'), { code: 'EPERM' });
    };
    expect(() => loadSessionKeys(undefined, dir)).toThrow(expect.objectContaining({ code: 'PENSTOCK_ERR_STATE_DIR' }));
    expect(readdirSync(dir)).toEqual([]);
  });
});
