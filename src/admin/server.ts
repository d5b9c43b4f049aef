/**
 * The admin API: HTTP with JSON on the unix socket STATE_DIR/admin.sock and, if asked for, on TCP.
 *
 *   GET  /ready                        200 once the appliance takes sessions, else 503
 *   GET  /show/WHAT                    a list, WHAT being one of SHOWN
 *   POST /service/NAME/drain           existing sessions go on, no new ones (enable, disable alike)
 *   POST /service/NAME/weight          body {"weight": N}
 *   POST /upgrade                      the program is started anew and takes over; the answer tells how
 *
 * Faults answer {"code", "message"}.
 */
import { chmodSync } from 'node:fs';
import { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { formatAddress } from '../config/addresses.js';
import { SERVICE_OPTIONS } from '../config/schema.js';
import type { ListenAddress } from '../config/types.js';
import { PenstockError } from '../errors.js';
import { adminSocketPath, claimSocketPath } from './socket-file.js';
import { type AdminSource, type ServiceReport, SHOWN, type ShowName, type Shown } from './source.js';

const MAX_BODY = 16 * 1024;
/** Only the owner: whoever can write here can drain services. */
const SOCKET_MODE = 0o600;

type Lists = { [K in ShowName]: () => Promise<Shown[K][]> | Shown[K][] };

export interface AdminSettings {
  stateDir: string;
  /** TCP address beside the unix socket. */
  tcp?: ListenAddress;
}

export interface AdminServer {
  readonly socketPath: string;
  /** As bound; absent if there is no TCP address. */
  readonly tcp?: ListenAddress;
  /** Ends open requests and removes the socket file. Idempotent. */
  close(): Promise<void>;
}

/** Throws PENSTOCK_ERR_STATE_DIR or PENSTOCK_ERR_BIND. */
export async function startAdminServer(source: AdminSource, settings: AdminSettings): Promise<AdminServer> {
  const socketPath = adminSocketPath(settings.stateDir);
  await claimSocketPath(socketPath);
  const local = createApi(source);
  await listen(local, { path: socketPath }, socketPath, 'PENSTOCK_ERR_STATE_DIR');
  chmodSync(socketPath, SOCKET_MODE);
  if (settings.tcp === undefined) return { socketPath, close: () => local.close() };
  const remote = createApi(source);
  const { address, port } = settings.tcp;
  try {
    await listen(remote, { host: address, port }, formatAddress(address, port), 'PENSTOCK_ERR_BIND');
  } catch (error) {
    await local.close();
    throw error;
  }
  const tcp = { address, port: boundPort(remote) };
  return { socketPath, tcp, close: async () => void (await Promise.all([local.close(), remote.close()])) };
}

/** The routes on a server that does not listen yet. */
export function createApi(source: AdminSource): FastifyInstance {
  const api = fastify({ bodyLimit: MAX_BODY, forceCloseConnections: true });
  api.addHook('onRequest', refuseForeignPages);
  api.get('/ready', (_request, reply) => reply.code(source.ready() ? 200 : 503).send({ ready: source.ready() }));
  addShow(api, source);
  addServiceActions(api, source);
  api.post('/upgrade', () => source.upgrade());
  api.setNotFoundHandler((request, reply) => refuse(reply, 404, `no such resource: ${request.method} ${request.url}`));
  api.setErrorHandler((error: FastifyError, _request, reply) => refuse(reply, error.statusCode ?? 500, error.message));
  return api;
}

/**
 * A page of some other site, open in a browser on this machine, can send requests to 127.0.0.1.
 * Browsers then name the site in Origin; commands and monitoring send none.
 */
async function refuseForeignPages(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  const { origin, host } = request.headers;
  if (origin === undefined || origin === `http://${host}`) return undefined;
  return refuse(reply, 403, `requests from pages of ${origin} are refused`);
}

function addShow(api: FastifyInstance, source: AdminSource): void {
  const lists: Lists = {
    vserver: () => source.vservers(),
    service: () => source.services(),
    session: () => source.sessions(),
    listener: () => source.listeners(),
    process: () => source.processes(),
    stat: () => source.stats(),
  };
  api.get<{ Params: { what: string } }>('/show/:what', async ({ params }, reply) => {
    const what = SHOWN.find((name) => name === params.what);
    if (what === undefined) return refuse(reply, 404, `nothing to show: expected one of ${SHOWN.join(', ')}`);
    return await lists[what]();
  });
}

function addServiceActions(api: FastifyInstance, source: AdminSource): void {
  for (const action of ['drain', 'enable', 'disable'] as const) {
    api.post<{ Params: { name: string } }>(`/service/:name/${action}`, ({ params }, reply) =>
      answer(reply, params.name, source.changeService(params.name, action)),
    );
  }
  api.post<{ Params: { name: string }; Body: unknown }>('/service/:name/weight', ({ params, body }, reply) => {
    const { type } = SERVICE_OPTIONS.weight;
    const weight = type.schema.safeParse((body as { weight?: unknown } | null)?.weight);
    if (!weight.success) return refuse(reply, 400, `weight: expected ${type.accepts}`);
    return answer(reply, params.name, source.setWeight(params.name, weight.data));
  });
}

function answer(reply: FastifyReply, name: string, service: ServiceReport | undefined): FastifyReply {
  return service === undefined ? refuse(reply, 404, `no service is called "${name}"`) : reply.send(service);
}

function refuse(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply.code(status).send({ code: 'PENSTOCK_ERR_ADMIN_REFUSED', message });
}

async function listen(
  api: FastifyInstance,
  where: { path: string } | { host: string; port: number },
  name: string,
  code: 'PENSTOCK_ERR_STATE_DIR' | 'PENSTOCK_ERR_BIND',
): Promise<void> {
  try {
    await api.listen(where);
  } catch (error) {
    throw new PenstockError(code, `admin ${name}: ${(error as Error).message}`, { cause: error });
  }
}

function boundPort(api: FastifyInstance): number {
  const address = api.server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
