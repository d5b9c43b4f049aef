import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { loadBinding } from '../../../src/engine/binding.js';

const binding = loadBinding();

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

const opened: number[] = [];
function keep<T extends { fd: number }>(socket: T): T {
  opened.push(socket.fd);
  return socket;
}

afterEach(() => {
  for (const fd of opened.splice(0)) binding.closeFd(fd);
});

function flagsOf(fd: number): number {
  const text = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
  return Number.parseInt(/^flags:\s*(\d+)$/m.exec(text)?.[1] ?? '', 8);
}

function failure(call: () => unknown): NodeJS.ErrnoException {
  try {
    call();
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
  throw new Error('did not throw');
}

describe('listenTcp', () => {
  it('shares a port between sockets that ask for it, and only between those', () => {
    const first = keep(binding.listenTcp('127.0.0.1', 0, { reusePort: true }));
    expect(first.port).toBeGreaterThan(0);
    expect(keep(binding.listenTcp('127.0.0.1', first.port, { reusePort: true })).port).toBe(first.port);
    const error = failure(() => binding.listenTcp('127.0.0.1', first.port, { reusePort: false }));
    expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'bind' });
    expect(error.message).toContain(`127.0.0.1 port ${first.port}`);
  });

  it('gives a socket that node:net serves from', async () => {
    const { fd, port } = binding.listenTcp('127.0.0.1', 0, { reusePort: true, backlog: 16 });
    const server = createServer((socket) => socket.end('hello'));
    server.listen({ fd, exclusive: true });
    await once(server, 'listening');
    const client = connect(port, '127.0.0.1');
    const [data] = await once(client, 'data');
    expect(String(data)).toBe('hello');
    client.destroy();
    server.close();
    await once(server, 'close');
  });

  it('listens on IPv6, alone or together with IPv4', () => {
    const both = keep(binding.listenTcp('::', 0, { reusePort: false }));
    expect(failure(() => binding.listenTcp('0.0.0.0', both.port, { reusePort: false })).code).toBe('EADDRINUSE');
    const alone = keep(binding.listenTcp('::', 0, { reusePort: false, v6Only: true }));
    expect(keep(binding.listenTcp('0.0.0.0', alone.port, { reusePort: false })).port).toBe(alone.port);
  });

  it('refuses bad arguments', () => {
    const options = { reusePort: true };
    expect(() => binding.listenTcp('localhost', 0, options)).toThrow(
      /must be an IPv4 or IPv6 address, got 'localhost'/,
    );
    expect(() => binding.listenTcp('127.0.0.1', 65536, options)).toThrow(RangeError);
    expect(() => binding.listenTcp('127.0.0.1', 0, {} as typeof options)).toThrow(
      /^options.reusePort must be a boolean/,
    );
    expect(() => binding.listenTcp('127.0.0.1', 0, { ...options, backlog: 0 })).toThrow(/^options.backlog must be/);
  });
});

describe('bindUdp', () => {
  const options = { receiveBuffer: 0 };

  it('is non-blocking and close-on-exec', () => {
    const { fd } = keep(binding.bindUdp('127.0.0.1', 0, options));
    expect(flagsOf(fd) & (O_NONBLOCK | O_CLOEXEC)).toBe(O_NONBLOCK | O_CLOEXEC);
  });

  it('never shares its port', () => {
    const { port } = keep(binding.bindUdp('127.0.0.1', 0, options));
    expect(failure(() => binding.bindUdp('127.0.0.1', port, options))).toMatchObject({
      code: 'EADDRINUSE',
      syscall: 'bind',
    });
    expect(failure(() => binding.bindUdp('0.0.0.0', port, options)).code).toBe('EADDRINUSE');
  });

  it('binds one address: another address, or the other family, may have the same port', () => {
    const { port } = keep(binding.bindUdp('::', 0, options));
    expect(keep(binding.bindUdp('127.0.7.2', port, options)).port).toBe(port);
    expect(keep(binding.bindUdp('127.0.7.3', port, options)).port).toBe(port);
  });

  it('grants a receive buffer, as the kernel counts it', () => {
    const small = keep(binding.bindUdp('127.0.0.1', 0, { receiveBuffer: 20_000 }));
    expect(small.receiveBuffer).toBe(40_000);
    expect(keep(binding.bindUdp('127.0.0.1', 0, options)).receiveBuffer).toBeGreaterThan(0);
  });

  it('queues packets from the instant it exists', async () => {
    const { fd, port } = binding.bindUdp('127.0.0.1', 0, options);
    const sender = createSocket('udp4');
    await new Promise((resolve) => sender.send('early', port, '127.0.0.1', resolve));
    const receiver = createSocket('udp4');
    const message = once(receiver, 'message');
    receiver.bind({ fd });
    expect(String((await message)[0])).toBe('early');
    sender.close();
    receiver.close();
  });

  it('takes scoped addresses, and names an interface that does not exist', () => {
    expect(keep(binding.bindUdp('::1%lo', 0, options)).port).toBeGreaterThan(0);
    expect(keep(binding.bindUdp('::1%1', 0, options)).port).toBeGreaterThan(0);
    expect(failure(() => binding.bindUdp('fe80::1%nosuch0', 0, options))).toMatchObject({
      code: 'ENODEV',
      syscall: 'if_nametoindex',
    });
  });

  it('tells an address that is not ours', () => {
    expect(failure(() => binding.bindUdp('192.0.2.1', 0, options)).code).toBe('EADDRNOTAVAIL');
  });

  it('refuses bad arguments', () => {
    expect(() => binding.bindUdp('', 0, options)).toThrow(TypeError);
    expect(() => binding.bindUdp('127.0.0.1', -1, options)).toThrow(/^port must be an integer 0…65535, got -1/);
    expect(() => binding.bindUdp('127.0.0.1', 0, { receiveBuffer: -1 })).toThrow(/^options.receiveBuffer must be/);
  });
});

describe('descriptors', () => {
  it('are closed once', () => {
    const { fd } = binding.bindUdp('127.0.0.1', 0, { receiveBuffer: 0 });
    binding.closeFd(fd);
    expect(failure(() => binding.closeFd(fd))).toMatchObject({ code: 'EBADF', syscall: 'close' });
    expect(() => binding.closeFd(-1)).toThrow(RangeError);
  });

  it('come in pairs that are close-on-exec', () => {
    const pair = binding.socketPair();
    for (const fd of pair) expect(flagsOf(fd) & O_CLOEXEC).toBe(O_CLOEXEC);
    for (const fd of pair) binding.closeFd(fd);
  });

  it('wake without ever blocking', () => {
    const fd = keep({ fd: binding.eventFd() }).fd;
    expect(flagsOf(fd) & O_NONBLOCK).toBe(O_NONBLOCK);
    binding.wake(fd);
    binding.wake(fd);
    expect(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')).toMatch(/^eventfd-count:\s+2$/m);
  });
});
