import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PenstockError } from '../errors.js';

export const SESSION_KEY_BYTES = 32;

/** One key encodes and decodes; a second one, during a rotation, only decodes. */
const MAX_KEYS = 2;
const GENERATED_NAME = 'session.key';
const KEY_LINE = new RegExp(`^[0-9a-fA-F]{${SESSION_KEY_BYTES * 2}}$`);
const GENERATED_HEADER =
  '# penstock session key: 64 hex characters; a second line is still accepted during a rotation\n';

/**
 * The session keys: those of `file`, else the generated ones of the state directory, which are
 * made at the first call. Safe against several processes that start at once: all get the same key.
 * Throws PENSTOCK_ERR_KEY_FILE for a file that cannot be read or holds no keys,
 * PENSTOCK_ERR_STATE_DIR where the generated key cannot be written.
 */
export function loadSessionKeys(file: string | undefined, stateDir: string): Buffer[] {
  if (file !== undefined) return readKeys(file);
  const path = join(stateDir, GENERATED_NAME);
  generateKey(stateDir, path);
  return readKeys(path);
}

/**
 * Reads one or two lines of 64 hex characters; blank lines, and `#` to the end of a line, are
 * skipped. `name` is used in messages; the content never is.
 */
export function parseSessionKeys(text: string, name: string): Buffer[] {
  const keys: Buffer[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const content = line.replace(/#.*$/, '').trim();
    if (content === '') continue;
    if (!KEY_LINE.test(content)) {
      throw fault(name, `line ${index + 1}: expected 64 hex characters, got ${content.length} characters`);
    }
    keys.push(Buffer.from(content, 'hex'));
  }
  if (keys.length === 0) throw fault(name, 'no key in it: expected one or two lines of 64 hex characters');
  if (keys.length > MAX_KEYS) throw fault(name, `expected at most ${MAX_KEYS} keys, got ${keys.length}`);
  return keys;
}

function readKeys(path: string): Buffer[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fault(path, `cannot be read: ${(error as Error).message}`, error);
  }
  return parseSessionKeys(text, path);
}

function fault(path: string, what: string, cause?: unknown): PenstockError {
  return new PenstockError('PENSTOCK_ERR_KEY_FILE', `session key file ${path}: ${what}`, { cause });
}

/** Makes `path` if it is missing. It appears whole or not at all: written aside, then linked to its name. */
function generateKey(stateDir: string, path: string): void {
  const aside = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    if (exists(path)) return;
    writeAside(aside, `${GENERATED_HEADER}${randomBytes(SESSION_KEY_BYTES).toString('hex')}\n`);
    try {
      linkUnlessPresent(aside, path);
    } finally {
      unlinkSync(aside);
    }
  } catch (error) {
    const message = `cannot keep a session key in ${stateDir}: ${(error as Error).message}`;
    throw new PenstockError('PENSTOCK_ERR_STATE_DIR', message, { cause: error });
  }
}

function exists(path: string): boolean {
  try {
    closeSync(openSync(path, 'r'));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function writeAside(path: string, text: string): void {
  const fd = openSync(path, 'wx', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** link() fails where the name is taken, which rename() does not: the first of several starters wins. */
function linkUnlessPresent(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
