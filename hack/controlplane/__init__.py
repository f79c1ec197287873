"""A real kube-apiserver and etcd for the demo and the tests.

    python hack/controlplane build
        Print a directory that has etcd, kube-apiserver and kubectl. They come from the first place that has
        them: the directory that KUBEBUILDER_ASSETS names; the store of setup-envtest; PATH (but not kubectl);
        the user's cache directory. That gets the official release binaries, or else they are built there from
        Go modules, once. `release-hosts.toml` names the hosts of the downloads. With TCF_KUBERNETES=1.36,
        they always come from that cache: hack/gotools/controlplane-1.36 says which versions these are.
    python hack/controlplane helm
    python hack/controlplane etcdutl
        Print the path of helm, for the tests of the chart, or of etcdutl, for those that restore a backup.
        Both are built in the same way, each only when it is asked for.
    python hack/controlplane up [--data-dir DIR] [--port PORT] [--authentication-config FILE]
            [--until-stdin-closes] [--without-kubectl]
        Run a control plane in the foreground until SIGINT or SIGTERM. FILE is an AuthenticationConfiguration:
        its issuers' tokens are accepted, too. With --without-kubectl, kubectl is not built; it is named if it
        is there.

`up` prints one line of JSON on stdout when the API is ready:

    {"kubeconfig": PATH, "server": URL, "kubectl": PATH or null, "pids": {"etcd": N, "kube-apiserver": N}}

The kubeconfig is an administrator's; the logs etcd.log and kube-apiserver.log lie beside it. There
is no controller manager: nobody deletes orphans, and a deleted namespace stays Terminating.

With `--until-stdin-closes` it also ends when stdin reaches its end, so that it never outlives the
program that started it, and takes commands, one a line:

    stop COMPONENT    end it with SIGTERM, and SIGKILL if it takes 10 s (it does while it has watches)
    kill COMPONENT    end it with SIGKILL
    start COMPONENT   run it again, on the same port and data

Each is answered, when it is done, by a line as above (with the new pids, of what runs) or by
{"error": MESSAGE}. After `start` the API is ready again, unless the other component is still down.
A component that ends without such a command ends all of it, with exit status 1. Programs that want
this in a few lines use `controlplane.plane.ControlPlane`.

Everything here needs only the standard library: it has to work before there is a virtual environment.
"""
