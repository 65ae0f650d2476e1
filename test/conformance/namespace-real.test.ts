import { handlerLaw } from './handler.ts'
import { namespaceSite, noNamespaces } from './namespace-site.ts'

handlerLaw('a namespace machine', namespaceSite, { skip: noNamespaces })
