import { SubletError } from '../../actors/runtime/errors.ts'

/** The error for a unit whose name the batch system would take for another’s, or spell in another way. */
export const unfitName = (product: string, name: string, why: string): SubletError =>
  new SubletError('node-name', `${product} would not know ${name} by that name: ${why}`, {
    cure: 'Have its site name its machines in lower case, as the head of the batch system resolves them, and unlike any other host there.',
  })

/**
 * Where names are resolved, they differ in no case: a machine called STATIC1 would be the admin’s static1. Units are named
 * by their sites, which may be peers.
 */
export function checkLowerCase(product: string, name: string): void {
  if (name !== name.toLowerCase())
    throw unfitName(product, name, 'names are resolved there, and differ in no case')
}
