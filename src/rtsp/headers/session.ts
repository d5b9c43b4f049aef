/** Session = id [ ";" "timeout" "=" seconds ] (RFC 2326 §12.37), with whatever other parameters a server adds. */
export interface SessionHeader {
  /** May be '': VLC echoes an empty Session as `;timeout=60`. */
  id: string;
  /** Seconds; absent where the parameter is absent or no number. */
  timeoutSec?: number;
  /** All parameters as written, `timeout` among them, each without its `;`. */
  rest: string[];
}

const TIMEOUT = /^(\s*timeout\s*=\s*)(\d{1,9})\s*$/i;

export function parseSession(value: string): SessionHeader {
  const [, ...rest] = value.split(';');
  const header: SessionHeader = { id: idOf(value), rest };
  for (const parameter of rest) {
    const seconds = TIMEOUT.exec(parameter)?.[2];
    if (seconds !== undefined) header.timeoutSec ??= Number(seconds);
  }
  return header;
}

/** The parameters in `rest` come out as they are; a `timeoutSec` they do not say is written into them. */
export function formatSession(header: SessionHeader): string {
  const { id, timeoutSec, rest } = header;
  if (timeoutSec === undefined) return [id, ...rest].join(';');
  const place = rest.findIndex((parameter) => TIMEOUT.test(parameter));
  const parameters = [...rest];
  if (place === -1) parameters.push(`timeout=${timeoutSec}`);
  else parameters[place] = withTimeout(rest[place] ?? '', timeoutSec);
  return [id, ...parameters].join(';');
}

/** Replaces the id alone; parameters and spacing stay byte for byte. */
export function mapSessionId(value: string, change: (id: string) => string): string {
  const id = idOf(value);
  const at = value.indexOf(id);
  return value.slice(0, at) + change(id) + value.slice(at + id.length);
}

/** The id alone: what most messages are asked for. */
export function idOf(value: string): string {
  const end = value.indexOf(';');
  return (end === -1 ? value : value.slice(0, end)).trim();
}

function withTimeout(parameter: string, seconds: number): string {
  const match = TIMEOUT.exec(parameter);
  return match && Number(match[2]) !== seconds ? `${match[1]}${seconds}` : parameter;
}
