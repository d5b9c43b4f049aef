import type { RtspRequest, RtspResponse } from '../rtsp/message.js';
import { type MediaSection, mediaSections, sessionControl } from '../rtsp/sdp.js';

/** ONVIF streaming specification, §5.3: asks for media sections that the client sends. */
const BACKCHANNEL = /\bbackchannel\b/i;

/** What a DESCRIBE or an ANNOUNCE told of the streams that SETUPs will name. URLs are as the client knows them. */
export class Presentation {
  /** Nothing was told. */
  static readonly NONE = new Presentation([], undefined, undefined, 'server');

  readonly sections: readonly MediaSection[];
  readonly #base: string | undefined;
  readonly #aggregate: string | undefined;
  readonly #sender: 'server' | 'client' | 'both';

  private constructor(
    sections: readonly MediaSection[],
    base: string | undefined,
    control: string | undefined,
    sender: 'server' | 'client' | 'both',
  ) {
    this.sections = sections;
    this.#base = base;
    this.#aggregate = base === undefined ? undefined : resolve(control, base);
    this.#sender = sender;
  }

  /** What a request and its success tell, if anything. `reply`: as the client gets it. */
  static after(request: RtspRequest, reply: RtspResponse): Presentation | undefined {
    if (request.method === 'DESCRIBE') return Presentation.#described(request, reply);
    return request.method === 'ANNOUNCE' ? Presentation.#announced(request) : undefined;
  }

  /** The base URL is that of RFC 2326 §C.1.1. */
  static #described(request: RtspRequest, { headers, body }: RtspResponse): Presentation {
    const base = headers.get('Content-Base') ?? headers.get('Content-Location') ?? request.uri;
    const sender = asksForBackchannel(request) ? 'both' : 'server';
    return new Presentation(mediaSections(body), base, sessionControl(body), sender);
  }

  static #announced({ uri, body }: RtspRequest): Presentation {
    return new Presentation(mediaSections(body), uri, sessionControl(body), 'client');
  }

  /** The section whose control URL a SETUP names. */
  section(uri: string): MediaSection | undefined {
    const bare = withoutSlash(uri);
    const named = this.sections.find(
      ({ control }) => control && control !== '*' && bare.endsWith(withoutSlash(control)),
    );
    return named ?? (this.sections.length === 1 ? this.sections[0] : undefined);
  }

  /** The URL of the whole that a SETUP names a part of (RFC 2326 §C.3); undefined where nothing was told of it. */
  aggregateOf(uri: string): string | undefined {
    const isPart = this.#liesBelowBase(uri) || this.sections.some(({ control }) => control === uri);
    return isPart ? this.#aggregate : undefined;
  }

  /**
   * Whether the client is expected to send RTP, by what was told before its SETUP. `a=sendonly` alone does not say
   * so: servers write it of their own media too. Asked for with the backchannel, it is meant as ONVIF says.
   */
  clientSends(uri: string): boolean {
    if (this.#sender !== 'both') return this.#sender === 'client' && this.#liesBelowBase(uri);
    const direction = this.section(uri)?.direction;
    return direction === 'sendonly' || direction === 'sendrecv';
  }

  #liesBelowBase(uri: string): boolean {
    if (this.#base === undefined) return false;
    const base = withoutSlash(this.#base);
    return withoutSlash(uri) === base || uri.startsWith(`${base}/`);
  }
}

/** `Require: www.onvif.org/ver20/backchannel`, in whatever version. */
export function asksForBackchannel(request: RtspRequest): boolean {
  return request.headers.getAll('Require').some((value) => BACKCHANNEL.test(value));
}

/** As clients do it: a relative URL is appended to the base, whatever its query. */
function resolve(control: string | undefined, base: string): string {
  if (control === undefined || control === '' || control === '*') return base;
  return /^rtsp[su]?:\/\//i.test(control) ? control : `${withoutSlash(base)}/${control.replace(/^\//, '')}`;
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}
