import { readFileSync } from 'node:fs'
import { SubletError } from '../../actors/runtime/errors.ts'

/** Names of PEM files. What is secret stays in its file. */
export interface ServerTlsFiles {
  readonly certFile: string
  readonly keyFile: string
  /** Whoever calls must show a certificate that one of these signed. Absent: nobody is asked for one. */
  readonly clientCaFile?: string | undefined
}

export interface ClientTlsFiles {
  /** Who may have signed the certificates of peers. Absent: whom the system trusts. */
  readonly caFile?: string | undefined
  /** Shown to peers that ask for a certificate. */
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
}

export interface ServerTls {
  readonly cert: string
  readonly key: string
  readonly ca?: string
  readonly requestCert: boolean
  readonly rejectUnauthorized: boolean
  readonly minVersion: 'TLSv1.2'
}

export interface ClientTls {
  readonly certificateAuthority?: string
  readonly certificate?: string
  readonly key?: string
}

export function serverTls({ certFile, keyFile, clientCaFile }: ServerTlsFiles): ServerTls {
  return {
    cert: read(certFile),
    key: read(keyFile),
    ...(clientCaFile === undefined ? {} : { ca: read(clientCaFile) }),
    requestCert: clientCaFile !== undefined,
    rejectUnauthorized: clientCaFile !== undefined,
    minVersion: 'TLSv1.2',
  }
}

export const clientTls = ({ caFile, certFile, keyFile }: ClientTlsFiles): ClientTls => ({
  ...(caFile === undefined ? {} : { certificateAuthority: read(caFile) }),
  ...(certFile === undefined ? {} : { certificate: read(certFile) }),
  ...(keyFile === undefined ? {} : { key: read(keyFile) }),
})

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new SubletError('config-invalid', `the certificate or key ${file} cannot be read`, { cause })
  }
}
