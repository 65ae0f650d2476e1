import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Certificates of a test, made by openssl when it runs; good for a day. */
export interface Authority {
  readonly caFile: string
  /** A certificate that this authority signed, good for 127.0.0.1 and the name. */
  issue(name: string): { readonly certFile: string; readonly keyFile: string }
}

const openssl = (dir: string, ...args: readonly string[]): void => {
  execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'], timeout: 20_000 })
}

export function certificateAuthority(dir: string, name: string): Authority {
  const caFile = join(dir, `${name}-ca.crt`)
  const caKey = join(dir, `${name}-ca.key`)
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl(
    dir,
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    caKey,
    '-out',
    caFile,
    '-days',
    '1',
    '-subj',
    `/CN=${name} authority`,
  )
  return {
    caFile,
    issue(subject) {
      const [keyFile, request] = [join(dir, `${subject}.tls.key`), join(dir, `${subject}.csr`)]
      const certFile = join(dir, `${subject}.crt`)
      const extensions = join(dir, `${subject}.ext`)
      writeFileSync(extensions, `subjectAltName=IP:127.0.0.1,DNS:${subject}\n`)
      openssl(dir, 'req', ...newKey, '-keyout', keyFile, '-out', request, '-subj', `/CN=${subject}`)
      openssl(
        dir,
        'x509',
        '-req',
        '-in',
        request,
        '-CA',
        caFile,
        '-CAkey',
        caKey,
        '-CAcreateserial',
        '-out',
        certFile,
        '-days',
        '1',
        '-extfile',
        extensions,
      )
      return { certFile, keyFile }
    },
  }
}
