import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Import {
  from: string;
  /** Path below the root for our own files, the written name for packages. */
  to: string;
  package: boolean;
}

function files(folder: string, suffix: RegExp): string[] {
  const all = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true });
  const found = all.filter((entry) => entry.isFile() && suffix.test(entry.name));
  return found.map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
}

const IMPORT = /(?:^|[;\s])(?:import|export)\s+(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(IMPORT)].map((match) => {
    const written = match[1] ?? match[2] ?? '';
    if (!written.startsWith('.')) return { from: file, to: written, package: true };
    const to = relative(ROOT, join(ROOT, dirname(file), written)).replace(/\.js$/, '.ts');
    return { from: file, to, package: false };
  });
}

const sources = files('src', /\.ts$/);
const imports = sources.flatMap(importsOf);
const below = (folder: string) => (path: string) => path.startsWith(`src/${folder}/`);
const show = ({ from, to }: Import): string => `${from} → ${to}`;

/** Imports that `forbidden` matches, as text for a readable failure. */
function violations(forbidden: (edge: Import) => boolean): string[] {
  return imports.filter(forbidden).map(show);
}

const SOCKET_MODULES = ['net', 'dgram', 'tls', 'http', 'https', 'http2', 'cluster', 'child_process'];
const opensSockets = (name: string): boolean => SOCKET_MODULES.includes(name.replace(/^node:/, ''));

describe('who may import whom', () => {
  it('is checked on imports that were really found', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(imports.map(show)).toContain('src/rtsp/parser.ts → src/errors.ts');
  });

  it('rtsp/ uses nothing of ours but errors', () => {
    const isRtsp = below('rtsp');
    expect(violations((e) => isRtsp(e.from) && !e.package && !isRtsp(e.to) && e.to !== 'src/errors.ts')).toEqual([]);
  });

  it('rtsp/ does no I/O', () => {
    expect(violations((e) => below('rtsp')(e.from) && opensSockets(e.to))).toEqual([]);
  });

  it('router/ knows no sockets', () => {
    expect(violations((e) => below('router')(e.from) && opensSockets(e.to) && e.to !== 'node:net')).toEqual([]);
    // node:net also tells IP addresses from names (isIP…): that is no socket.
    const sockets = sources.filter(below('router')).filter((file) => {
      const text = readFileSync(join(ROOT, file), 'utf8');
      const names = /import\s+\{([^}]*)\}\s+from\s+'node:net'/.exec(text)?.[1] ?? '';
      const harmless = names
        .split(',')
        .every((name) => ['', 'isIP', 'isIPv4', 'isIPv6', 'BlockList'].includes(name.trim()));
      return !harmless || /import\s+(?:\w+|\* as \w+)\s+from\s+'node:net'/.test(text);
    });
    expect(sockets).toEqual([]);
  });

  it('only engine/ loads the addon', () => {
    const loaders = sources.filter((file) => {
      const text = readFileSync(join(ROOT, file), 'utf8');
      return /createRequire|process\.dlopen|\.node['"`]/.test(text);
    });
    expect(loaders.filter((file) => !below('engine')(file))).toEqual([]);
    expect(loaders).not.toEqual([]); // or this test looks for the wrong thing
  });

  it.each(['process', 'cli', 'admin'])('nothing outside imports %s/ but main.ts', (folder) => {
    const inside = below(folder);
    // The command line and the processes are where main.ts leads; they know the admin API.
    const top = (path: string): boolean =>
      path === 'src/main.ts' || ['process', 'cli', 'admin'].some((f) => below(f)(path));
    expect(violations((e) => inside(e.to) && !inside(e.from) && !top(e.from))).toEqual([]);
  });
});

describe('native', () => {
  const headers = files('native', /\.(?:h|cc)$/).map((file) => ({
    file,
    includes: [...readFileSync(join(ROOT, file), 'utf8').matchAll(/^#include\s+[<"]([^>"]+)[>"]/gm)].map(
      (m) => m[1] ?? '',
    ),
  }));

  it('only binding/ includes the Node-API', () => {
    const isNode = (name: string): boolean => /^(?:napi|node_api|node|v8)[^/]*\.h$/.test(name);
    const users = headers.filter(({ includes }) => includes.some(isNode)).map(({ file }) => file);
    expect(users.filter((file) => !file.startsWith('native/binding/'))).toEqual([]);
    expect(users).not.toEqual([]); // the binding does
  });

  it('only one file of the binding includes V8', () => {
    const users = headers.filter(({ includes }) => includes.some((name) => /^v8[^/]*\.h$/.test(name)));
    expect(users.map(({ file }) => file)).toEqual(['native/binding/shared_array_buffer.cc']);
  });
});
