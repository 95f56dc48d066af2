"""The one guarded HTTP client: everything that leaves over HTTP goes through it (design, decision 10).

URL, read strictly --> name looked up, on a thread of its own
                   --> addresses vetted; those refused are dropped
                   --> socket made for one address, vetted again --> that address dialled --> TLS --> request
                   --> head of the answer --> body, up to a size --> HttpAnswer
at every step      --> OutgoingFailure: a fault of `domain.delivery` and a sentence fit for a tenant

What is vetted is what is dialled: a socket comes from `Guard.socket` alone, which is given the very address that it is
about to be connected to, so no second look-up lies between. A connection that is kept and used again was vetted when
it was dialled; its peer cannot change.

Left out on purpose: redirects are answers, not followed; no proxy, no .netrc, no cookies, nothing from the environment;
bodies are not decompressed; nothing is sent twice, for only the caller knows whether a repeat is safe. A server that
hung up on a kept connection is called anew as long as nothing was written; once something was, it is a failure.
"""

from heliograph.outgoing.http import OutgoingHttp, load
from heliograph.outgoing.interface import HttpAnswer, OutgoingFailure, OutgoingOptions

__all__ = ["HttpAnswer", "OutgoingFailure", "OutgoingHttp", "OutgoingOptions", "load"]
