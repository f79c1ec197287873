"""A real kube-apiserver and etcd for the demo and the tests, built once from Go modules.

    python hack/controlplane build
        Print the directory that has etcd, kube-apiserver and kubectl: KUBEBUILDER_ASSETS if that is
        set, else one under the user's cache directory, where they are built the first time. With
        TCF_KUBERNETES=1.36, the programs of that minor version: hack/gotools/controlplane-1.36 says what to
        build.
    python hack/controlplane helm
    python hack/controlplane etcdutl
        Print the path of helm, for the tests of the chart, or of etcdutl, for those that restore a backup.
        Both are built in the same way.
    python hack/controlplane up [--data-dir DIR] [--port PORT] [--until-stdin-closes]
        Run a control plane in the foreground until SIGINT or SIGTERM.

`up` prints one line of JSON on stdout when the API is ready:

    {"kubeconfig": PATH, "server": URL, "kubectl": PATH, "pids": {"etcd": N, "kube-apiserver": N}}

The kubeconfig is an administrator's; the logs etcd.log and kube-apiserver.log lie beside it. There
is no controller manager: nothing collects orphans, and a deleted namespace stays Terminating.

With `--until-stdin-closes` it also ends when stdin reaches its end, so that it never outlives the
program that started it, and takes commands, one a line:

    stop COMPONENT    end it with SIGTERM, and SIGKILL if it takes 10 s (it does while it has watches)
    kill COMPONENT    end it with SIGKILL
    start COMPONENT   run it anew, on the same port and data

Each is answered, when it is done, by a line as above (with the new pids, of what runs) or by
{"error": MESSAGE}. After `start` the API is ready again, unless the other component is still down.
A component that ends without such a command ends all of it, with exit status 1. Programs that want
this in a few lines use `controlplane.plane.ControlPlane`.

Everything here runs on the standard library alone: it has to work before any virtual environment
exists.
"""
