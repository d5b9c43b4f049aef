/** The part of a pino logger that an origin uses. */
export interface OriginLog {
  info(fields: object, message: string): void;
}
