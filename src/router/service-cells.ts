export type ServiceStateName = 'up' | 'down' | 'draining' | 'disabled' | 'unknown';

/** What one worker says about one service; it alone writes these cells. */
export type OwnCell =
  | 'sessions'
  | 'pending'
  | 'connectFailures'
  | 'refusedSetups'
  | 'sessionsTotal'
  | 'requestsTotal'
  | 'turns';

/**
 * The cells of the services as one worker sees them: those of the primary, the sums over all workers, and its own
 * column. `service` is the row of the service table. No cell has two writers, so `own` then `setOwn` loses nothing.
 */
export interface ServiceCells {
  /** Written by the primary: the verdict of the monitors and what the operator ordered. */
  state(service: number): ServiceStateName;
  /** Written by the primary: share of new sessions relative to the others; 0 = none. */
  weight(service: number): number;
  /** Written by the primary: 0 = no limit. */
  maxSessions(service: number): number;
  /** Sessions plus pending connections, over all workers. */
  load(service: number): number;
  /** Turns given (fractions, see turns.ts), over all workers. */
  turns(service: number): number;
  /** This worker's own cell. */
  own(service: number, cell: OwnCell): number;
  /** Visible to the other workers at once. Every cell is a whole number but `turns`. */
  setOwn(service: number, cell: OwnCell, value: number): void;
}
