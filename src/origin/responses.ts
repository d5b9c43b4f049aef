import { type RtspRequest, type RtspResponse, setBody } from '../rtsp/message.js';
import { makeResponse } from '../rtsp/status.js';

export interface ReplyFields {
  [name: string]: string;
}

/** A response with the request's CSeq and the given header fields in their order. */
export function reply(request: RtspRequest, status: number, fields: ReplyFields = {}, body?: Buffer): RtspResponse {
  const response = makeResponse(request, status);
  for (const [name, value] of Object.entries(fields)) response.headers.set(name, value);
  if (body) setBody(response, body);
  return response;
}
