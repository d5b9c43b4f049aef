/** Log lines: JSON on stderr, readable text where stderr is a terminal. */
import { isatty } from 'node:tty';
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { LogLevel } from '../config/types.js';

export type { Logger } from 'pino';

const STDERR = 2;

export interface LoggerSettings {
  level: LogLevel;
  /** Who speaks: `primary`, `engine`, `worker-0`… */
  process: string;
  /** Where lines go; stderr if not given. */
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
  return pino(options, settings.destination ?? standardDestination());
}

function hoistCode(fields: Record<string, unknown>): Record<string, unknown> {
  const code = fields.err instanceof Error ? (fields.err as { code?: unknown }).code : undefined;
  return typeof code === 'string' && fields.code === undefined ? { ...fields, code } : fields;
}

function standardDestination(): DestinationStream {
  if (isatty(STDERR)) {
    const ignore = 'pid,process';
    return PinoPretty({ destination: STDERR, sync: true, ignore, messageFormat: '{process}: {msg}' });
  }
  // Not synchronous: a reader that does not keep up must not stop a worker. What is queued is written at exit.
  return pino.destination({ fd: STDERR, sync: false });
}
