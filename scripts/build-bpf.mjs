// Compiles each BPF program, such as native/offload/relay.bpf.c, into an .inc file beside it, which is in the
// repository: who builds or runs penstock needs no clang. Run it after each change of a program.
//   node scripts/build-bpf.mjs           writes the files
//   node scripts/build-bpf.mjs --check   fails where a file is not what would be written
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findCommand, main, ROOT, SetupError, say } from './lib/run.mjs';

/** A program's section has its name; its file is NAME.bpf.c, with NAME_format.h and NAME_program.inc beside it. */
const PROGRAMS = [
  { name: 'relay', folder: join(ROOT, 'native', 'offload') },
  { name: 'sink', folder: join(ROOT, 'bench', 'native') },
];
// What old kernels with tcx understand, and no debug data, which would name paths.
const FLAGS = ['-target', 'bpf', '-mcpu=v3', '-O2', '-Wall', '-Wextra', '-Werror', '-ffile-prefix-map=.='];
const INSTRUCTION_BYTES = 8;
const R_BPF_64_64 = 1; // a map's address, in the 16 bytes of a wide load

const sourcesOf = ({ name }) => [`${name}.bpf.c`, `${name}_format.h`];
const outputOf = ({ name, folder }) => join(folder, `${name}_program.inc`);

function sourcesDigest(program) {
  const hash = createHash('sha256');
  for (const source of sourcesOf(program)) hash.update(readFileSync(join(program.folder, source)));
  return hash.digest('hex');
}

function clang(args, cwd = ROOT) {
  if (!findCommand('clang')) {
    throw new SetupError('compiling the BPF program needs clang. Type:\n\n  sudo apt-get install clang\n');
  }
  const result = spawnSync('clang', args, { cwd, encoding: 'utf8' });
  if (result.status !== 0) throw new SetupError(`clang failed:\n${result.stderr}`);
  return result.stdout;
}

/** Where this machine keeps <asm/types.h>, in Debian's way. */
function systemHeaders() {
  const { stdout = '' } = spawnSync('gcc', ['-print-multiarch'], { encoding: 'utf8' });
  const triple = (stdout ?? '').trim();
  return triple === '' ? [] : ['-idirafter', `/usr/include/${triple}`];
}

function compile(program) {
  const directory = mkdtempSync(join(tmpdir(), 'penstock-bpf-'));
  try {
    const object = join(directory, 'program.o');
    clang([...FLAGS, ...systemHeaders(), '-c', sourcesOf(program)[0], '-o', object], program.folder);
    return readFileSync(object);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const text = (bytes, at) => bytes.toString('latin1', at, bytes.indexOf(0, at));

/** The sections of a 64-bit little-endian ELF file by name. */
function readSections(file) {
  const headers = Number(file.readBigUInt64LE(40));
  const size = file.readUInt16LE(58);
  const count = file.readUInt16LE(60);
  const sections = Array.from({ length: count }, (_, index) => {
    const at = headers + index * size;
    const from = Number(file.readBigUInt64LE(at + 24));
    return { name: file.readUInt32LE(at), bytes: file.subarray(from, from + Number(file.readBigUInt64LE(at + 32))) };
  });
  const names = sections[file.readUInt16LE(62)].bytes;
  return new Map(sections.map(({ name, bytes }) => [text(names, name), bytes]));
}

/** Which instruction loads which map. */
function readRelocations(sections, name) {
  const relocations = sections.get(`.rel${name}`);
  const [symbols, names] = [sections.get('.symtab'), sections.get('.strtab')];
  const found = [];
  for (let at = 0; at < relocations.length; at += 16) {
    if (relocations.readUInt32LE(at + 8) !== R_BPF_64_64) throw new SetupError('the program may load maps and no more');
    const instruction = Number(relocations.readBigUInt64LE(at)) / INSTRUCTION_BYTES;
    found.push({ instruction, map: text(names, symbols.readUInt32LE(relocations.readUInt32LE(at + 12) * 24)) });
  }
  return found;
}

function generate(program) {
  const sections = readSections(compile(program));
  const code = sections.get(program.name);
  const macro = program.name.toUpperCase();
  const lines = [
    `// Written by scripts/build-bpf.mjs from ${sourcesOf(program).join(' and ')}; not to be edited.`,
    `// compiler: ${clang(['--version']).split('\n')[0]}`,
    `// sources: ${sourcesDigest(program)}`,
  ];
  for (const { instruction, map } of readRelocations(sections, program.name)) {
    lines.push(`${macro}_MAP(${instruction}, ${map})`);
  }
  for (let at = 0; at < code.length; at += INSTRUCTION_BYTES) {
    const fields = [code[at], code[at + 1], code.readInt16LE(at + 2), code.readInt32LE(at + 4)];
    lines.push(`${macro}_INSTRUCTION(${fields.join(', ')})`);
  }
  return `${lines.join('\n')}\n`;
}

const compilerOf = (file) => /^\/\/ compiler: (.*)$/m.exec(file)?.[1];
const digestOf = (file) => /^\/\/ sources: (.*)$/m.exec(file)?.[1];

function check(program) {
  const present = readFileSync(outputOf(program), 'utf8');
  const fresh = generate(program);
  // Another compiler may choose other instructions for the same source.
  const same = compilerOf(present) === compilerOf(fresh) ? present === fresh : digestOf(present) === digestOf(fresh);
  if (!same) throw new SetupError(`${outputOf(program)} is out of date: node scripts/build-bpf.mjs`);
}

function write(program) {
  const file = generate(program);
  writeFileSync(outputOf(program), file);
  say(`${outputOf(program)}: ${file.split('_INSTRUCTION(').length - 1} instructions`);
}

await main(() => PROGRAMS.forEach(process.argv.includes('--check') ? check : write));
