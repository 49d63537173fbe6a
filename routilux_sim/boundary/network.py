"""Sockets and what is built on them."""

from __future__ import annotations

from routilux_sim.boundary.rows import Entry, allowed, escapes, module

__all__ = ["ENTRIES", "MODULES"]

MODULES = ("select", "selectors", "socket", "socketserver", "ssl", "http.client", "urllib.request")

_NO_IO = "keep real input and output out of the program: give it a stand-in that is made of queues"
_NO_WAIT = (
    "keep real input and output out of the program, and run no event loop there that is not one of the simulation's, "
    "such as an event loop that was not made in the simulation"
)
_COMPUTES = "computes, or describes what is there"
_METHODS = (
    "accept connect connect_ex bind listen recv recv_into recvfrom recvfrom_into recvmsg recvmsg_into send sendall "
    "sendto sendmsg sendmsg_afalg sendfile"
)

ENTRIES: tuple[Entry, ...] = (
    *module(
        "select",
        escapes("select poll epoll kqueue devpoll", _NO_WAIT),
        allowed("kevent", "describes an event"),
    ),
    *module(
        "selectors",
        escapes(
            "SelectSelector.select PollSelector.select EpollSelector.select DevpollSelector.select "
            "KqueueSelector.select",
            _NO_WAIT,
        ),
        allowed(
            "DefaultSelector SelectSelector PollSelector EpollSelector DevpollSelector KqueueSelector",
            "a list of files, until it is asked to wait, which is stopped",
        ),
        allowed("BaseSelector SelectorKey", "a base class or a record"),
    ),
    *module(
        "socket",
        escapes(" ".join(f"socket.{name}" for name in _METHODS.split()), _NO_IO),
        allowed("socket SocketType socketpair fromfd dup close SocketIO", "a socket is harmless until it is used"),
        escapes("create_connection", _NO_IO, on="socket.getaddrinfo"),
        escapes("create_server", _NO_IO, on="socket.socket.bind"),
        escapes("getaddrinfo", _NO_IO, event="socket.getaddrinfo"),
        escapes("getnameinfo", _NO_IO, event="socket.getnameinfo"),
        escapes("gethostbyname gethostbyname_ex", _NO_IO, event="socket.gethostbyname"),
        escapes("gethostbyaddr", _NO_IO, event="socket.gethostbyaddr"),
        escapes("getfqdn", _NO_IO, on="socket.gethostbyaddr"),
        escapes("sethostname", "leave the machine alone", event="socket.sethostname"),
        escapes("send_fds", _NO_IO, on="socket.socket.sendmsg"),
        escapes("recv_fds", _NO_IO, on="socket.socket.recvmsg"),
        allowed(
            "gethostname getprotobyname getservbyname getservbyport if_indextoname if_nameindex if_nametoindex "
            "has_dualstack_ipv6 getdefaulttimeout setdefaulttimeout",
            "reads the machine's tables, or a setting",
        ),
        allowed("CMSG_LEN CMSG_SPACE htonl htons ntohl ntohs inet_aton inet_ntoa inet_ntop inet_pton", _COMPUTES),
    ),
    *module(
        "socketserver",
        escapes(
            "TCPServer UDPServer UnixStreamServer UnixDatagramServer ThreadingTCPServer ThreadingUDPServer "
            "ThreadingUnixStreamServer ThreadingUnixDatagramServer ForkingTCPServer ForkingUDPServer "
            "ForkingUnixStreamServer ForkingUnixDatagramServer",
            _NO_IO,
            on="socket.socket.bind",
        ),
        allowed("BaseServer ThreadingMixIn ForkingMixIn", "a base class: it has no socket"),
        allowed("BaseRequestHandler StreamRequestHandler DatagramRequestHandler", "handles what it is given"),
    ),
    *module(
        "ssl",
        allowed("SSLContext create_default_context get_default_verify_paths DefaultVerifyPaths", "reads files"),
        allowed("SSLSocket wrap_socket", "a socket is harmless until it is used"),
        allowed("MemoryBIO SSLObject SSLSession", "works in memory; its keys are random in reality"),
        allowed(
            "DER_cert_to_PEM_cert PEM_cert_to_DER_cert cert_time_to_seconds get_protocol_name match_hostname "
            "RAND_status RAND_add",
            _COMPUTES,
        ),
        escapes("RAND_bytes RAND_pseudo_bytes", "draw from os.urandom() or secrets, which are seeded"),
        escapes("get_server_certificate", _NO_IO, on="socket.create_connection"),
    ),
    *module(
        "http.client",
        escapes("HTTPConnection.connect HTTPSConnection.connect", _NO_IO, on="socket.create_connection"),
        allowed("HTTPConnection HTTPSConnection", "describes a connection, until it is made"),
        allowed("HTTPMessage HTTPResponse parse_headers", "reads from what it is given"),
    ),
    *module(
        "urllib.request",
        escapes("urlopen urlretrieve", f"{_NO_IO}; file: and data: URLs may be opened", event="urllib.Request"),
        escapes("ftpwrapper", _NO_IO, on="socket.create_connection"),
        allowed("URLopener FancyURLopener", "does nothing until it opens something, which is stopped"),
        allowed(
            "Request OpenerDirector build_opener install_opener urlcleanup", "describes a request, until it is sent"
        ),
        allowed(
            "AbstractBasicAuthHandler AbstractDigestAuthHandler AbstractHTTPHandler BaseHandler CacheFTPHandler "
            "DataHandler FTPHandler FileHandler HTTPBasicAuthHandler HTTPCookieProcessor HTTPDefaultErrorHandler "
            "HTTPDigestAuthHandler HTTPErrorProcessor HTTPHandler HTTPPasswordMgr HTTPPasswordMgrWithDefaultRealm "
            "HTTPPasswordMgrWithPriorAuth HTTPRedirectHandler HTTPSHandler ProxyBasicAuthHandler "
            "ProxyDigestAuthHandler ProxyHandler UnknownHandler",
            "takes part in opening a URL, which is stopped",
        ),
        allowed(
            "ftperrors getproxies getproxies_environment noheaders parse_http_list parse_keqv_list pathname2url "
            "proxy_bypass proxy_bypass_environment request_host url2pathname",
            _COMPUTES,
        ),
        escapes("localhost thishost", _NO_IO, on="socket.gethostbyname"),
    ),
)
