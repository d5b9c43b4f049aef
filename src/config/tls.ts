/** What the TLS options of a vserver, of the top level and of a service amount to. */
import type { Faults } from './faults.js';
import type { SERVICE_OPTIONS, TLS_OPTIONS, Values } from './schema.js';
import type { CertificateFiles, RtspListen, ServiceTls, TlsConfig } from './types.js';

type TlsValues = Values<typeof TLS_OPTIONS>;
type ServiceValues = Values<typeof SERVICE_OPTIONS>;

const SERVICE_KEYS = ['verify', 'ca', 'server-name'] as const;

/** Undefined where no address asks for TLS. Adds a fault where what it needs is missing or does not fit together. */
export function completeTls(
  vserver: { where: string; listen: readonly RtspListen[]; tls: TlsValues },
  inherited: TlsValues,
  faults: Faults,
): TlsConfig | undefined {
  if (!vserver.listen.some(({ tls }) => tls)) return undefined;
  const own = vserver.tls;
  const certificates = pairs(own['tls-certificate'] === undefined ? inherited : own, vserver.where, faults);
  const clientCertificates = own['tls-client-certificates'] ?? inherited['tls-client-certificates'] ?? 'none';
  const clientCa = own['tls-client-ca'] ?? inherited['tls-client-ca'];
  if (clientCertificates !== 'none' && clientCa === undefined) {
    faults.add(vserver.where, `tls-client-certificates "${clientCertificates}" needs tls-client-ca`);
  }
  return { certificates, clientCertificates, ...(clientCa === undefined ? {} : { clientCa }) };
}

/** A key belongs to the certificate in the same place; without any key each stands in its certificate's file. */
function pairs(values: TlsValues, where: string, faults: Faults): CertificateFiles[] {
  const certificates = present(values['tls-certificate']);
  const keys = present(values['tls-key']);
  if (certificates.length === 0) faults.add(where, 'an rtsps:// address needs tls-certificate');
  if (keys.length > 0 && keys.length !== certificates.length) {
    faults.add(
      where,
      `${keys.length} tls-key for ${certificates.length} tls-certificate; expected one for each or none`,
    );
  }
  return certificates.map((certificate, index) => ({ certificate, key: keys[index] ?? certificate }));
}

function present<T>(list: readonly (T | undefined)[] | undefined): T[] {
  return (list ?? []).filter((item): item is T & {} => item !== undefined);
}

/** Undefined for a service without TLS, whose keys for it are faults. */
export function serviceTls(values: ServiceValues, where: string, faults: Faults): ServiceTls | undefined {
  if (!values.address?.tls) {
    for (const key of SERVICE_KEYS) {
      if (values[key] !== undefined) faults.add(where, `"${key}" is for a service with an rtsps:// address`);
    }
    return undefined;
  }
  const { ca, 'server-name': serverName } = values;
  return {
    verify: values.verify ?? true,
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { serverName }),
  };
}
