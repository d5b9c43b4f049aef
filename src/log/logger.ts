/** Log lines: JSON on stderr, readable text where stderr is a terminal. */
import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { LogLevel } from '../config/types.js';

export type { Logger } from 'pino';

const STDERR = 2;
/** Lines gather until there are so many bytes, or for so long. */
const GATHER_BYTES = 3072;
const GATHER_MS = 100;
/** What a pipe takes whole (PIPE_BUF): the lines of several processes on one pipe do not cut each other. */
const MAX_WRITE_BYTES = 4096;

export interface LoggerSettings {
  level: LogLevel;
  /** Who speaks: `primary`, `engine`, `worker-0`… */
  process: string;
  /** A process of many lines: several go out in one write. What is not yet written is lost with a killed process. */
  gather?: boolean;
  /** Where lines go; standard error if neither is given. */
  fd?: number;
  destination?: DestinationStream;
}

/**
 * A logger whose lines have `level` (as a word), `time` (ISO 8601), `pid`, `process` and `msg`.
 * An error is logged as `log.warn({ err }, 'text')`; its code, if it has one, stands in `code` too,
 * so that lines can be searched by it.
 */
export function createLogger(settings: LoggerSettings): Logger {
  const options: LoggerOptions = {
    level: settings.level,
    base: { pid: process.pid, process: settings.process },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }), log: hoistCode },
  };
  return pino(options, settings.destination ?? destinationOf(settings));
}

function hoistCode(fields: Record<string, unknown>): Record<string, unknown> {
  const code = fields.err instanceof Error ? (fields.err as { code?: unknown }).code : undefined;
  return typeof code === 'string' && fields.code === undefined ? { ...fields, code } : fields;
}

function destinationOf({ fd = STDERR, gather = false }: LoggerSettings): DestinationStream {
  if (isatty(fd)) {
    const ignore = 'pid,process';
    return PinoPretty({ destination: fd, sync: true, ignore, messageFormat: '{process}: {msg}' });
  }
  // A reader that does not keep up must not stop a worker. A file always takes what is written, and to have it written
  // by another thread costs more than to write it. What is queued is written at exit.
  const sync = fstatSync(fd).isFile();
  const gathering = gather ? { minLength: GATHER_BYTES, periodicFlush: GATHER_MS } : {};
  return pino.destination({ fd, sync, maxWrite: MAX_WRITE_BYTES, ...gathering });
}
