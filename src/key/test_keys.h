/* Keys, certificates and signatures made by OpenSSH 9.2's ssh-keygen, for tests only. Passphrases are "secret". */
#pragma once

#include "base/attr.h"

UNUSED static const char test_ed25519_private[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                                  "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
                                                  "QyNTUxOQAAACANquESJIM60+dObo5WH7T3YjEqaJLh9lFEvNk9FP9cmwAAAJDXQUcf10FH\n"
                                                  "HwAAAAtzc2gtZWQyNTUxOQAAACANquESJIM60+dObo5WH7T3YjEqaJLh9lFEvNk9FP9cmw\n"
                                                  "AAAED85B9TMlCX0k1Ov2WkKWdf59xcZhqNGFmHl7G5bMf1sA2q4RIkgzrT505ujlYftPdi\n"
                                                  "MSpokuH2UUS82T0U/1ybAAAADGVkMjU1MTlAdGVzdAE=\n"
                                                  "-----END OPENSSH PRIVATE KEY-----\n";
UNUSED static const char test_ed25519_public[] =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA2q4RIkgzrT505ujlYftPdiMSpokuH2UUS82T0U/1yb ed25519@test";
UNUSED static const char test_ecdsa_private[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                                "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS\n"
                                                "1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQSm5ujizMq0RFLw+iP+9YIr0YFLlfdv\n"
                                                "yyh2BJMi58XyHMW2Py13u2zVkOPgln8bj1FxalBj2TrWAteYQJ4GacxbAAAAqEEzHv5BMx\n"
                                                "7+AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKbm6OLMyrREUvD6\n"
                                                "I/71givRgUuV92/LKHYEkyLnxfIcxbY/LXe7bNWQ4+CWfxuPUXFqUGPZOtYC15hAngZpzF\n"
                                                "sAAAAhAODcINrIt+L/n9mD9sHWI2GD5M3VsqAFDVHbAVvS+SNJAAAACmVjZHNhQHRlc3QB\n"
                                                "AgMEBQ==\n"
                                                "-----END OPENSSH PRIVATE KEY-----\n";
UNUSED static const char test_ecdsa_public[] =
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBKbm6OLMyrREUvD6I/71givRgUuV92/LKHYEky"
    "LnxfIcxbY/LXe7bNWQ4+CWfxuPUXFqUGPZOtYC15hAngZpzFs= ecdsa@test";
UNUSED static const char test_ecdsa384_private[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                                   "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAiAAAABNlY2RzYS\n"
                                                   "1zaGEyLW5pc3RwMzg0AAAACG5pc3RwMzg0AAAAYQQLsMxt1d+UQWkKQjiYeZ6XbhXwN3s2\n"
                                                   "uMIuEkddF6btvHYp7TNvxkKtFgWe33qz1cGR6S1XSe79CHY+xXhEa8Al6NvPgti4KpOzVR\n"
                                                   "2P1YKVUChDy5DY5un40rZ01GjsNNsAAADQs8zayrPM2soAAAATZWNkc2Etc2hhMi1uaXN0\n"
                                                   "cDM4NAAAAAhuaXN0cDM4NAAAAGEEC7DMbdXflEFpCkI4mHmel24V8Dd7NrjCLhJHXRem7b\n"
                                                   "x2Ke0zb8ZCrRYFnt96s9XBkektV0nu/Qh2PsV4RGvAJejbz4LYuCqTs1Udj9WClVAoQ8uQ\n"
                                                   "2Obp+NK2dNRo7DTbAAAAMQDxbzLJuxcXqmBV/ESAPd6Cc3dlEK8IFOrhQAD6gp9yRyPlY6\n"
                                                   "tou75Fn7AV5joMy48AAAAEZTM4NAECAw==\n"
                                                   "-----END OPENSSH PRIVATE KEY-----\n";
UNUSED static const char test_ecdsa384_public[] =
    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBAuwzG3V35RBaQpCOJh5npduFfA3eza4wi4SR1"
    "0Xpu28dintM2/GQq0WBZ7ferPVwZHpLVdJ7v0Idj7FeERrwCXo28+C2Lgqk7NVHY/VgpVQKEPLkNjm6fjStnTUaOw02w== e384";
UNUSED static const char test_ecdsa521_private[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                                   "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAArAAAABNlY2RzYS\n"
                                                   "1zaGEyLW5pc3RwNTIxAAAACG5pc3RwNTIxAAAAhQQBjjZz2Ti+RVVD31MZ0NXLpB1YZhK6\n"
                                                   "YmO7yyvQpUA/f6idgOWZoYdlHOVeqxNYyw7+Y9F91Kn8bT7eWXFFUHNLGe0ANMA/wpEWFk\n"
                                                   "gAUUutbe6MzPk4lTvp87bVnneTbCTVZYJd6WyxWJ8E3CVy30pmOgNOSWc/s0RA/Z16Gvp7\n"
                                                   "yzHemCsAAAEIBaFDXAWhQ1wAAAATZWNkc2Etc2hhMi1uaXN0cDUyMQAAAAhuaXN0cDUyMQ\n"
                                                   "AAAIUEAY42c9k4vkVVQ99TGdDVy6QdWGYSumJju8sr0KVAP3+onYDlmaGHZRzlXqsTWMsO\n"
                                                   "/mPRfdSp/G0+3llxRVBzSxntADTAP8KRFhZIAFFLrW3ujMz5OJU76fO21Z53k2wk1WWCXe\n"
                                                   "lssVifBNwlct9KZjoDTklnP7NEQP2dehr6e8sx3pgrAAAAQTHK0yHwuD1YeXCXSal8LxeG\n"
                                                   "ZCuaLP1e5/EEVqMzfvJ+54vWVeDwyWerRKEBNm75okammBuROzuYr27XMkpyUKoEAAAABG\n"
                                                   "U1MjEBAgMEBQYH\n"
                                                   "-----END OPENSSH PRIVATE KEY-----\n";
UNUSED static const char test_ecdsa521_public[] =
    "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAGONnPZOL5FVUPfUxnQ1cukHVhmErpiY7vLK9"
    "ClQD9/qJ2A5Zmhh2Uc5V6rE1jLDv5j0X3UqfxtPt5ZcUVQc0sZ7QA0wD/CkRYWSABRS61t7ozM+TiVO+nzttWed5NsJNVlgl3pbLFYnwTcJXLf"
    "SmY6A05JZz+zRED9nXoa+nvLMd6YKw== e521";
UNUSED static const char test_rsa_private[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                              "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAABFwAAAAdzc2gtcn\n"
                                              "NhAAAAAwEAAQAAAQEAqgNK2//8EtJkxFgGxW/lWCINybqr7vjbb8mH07emMXU+lHCS2f1g\n"
                                              "fKuDVpuMGkESVXXdi3GP7t9+M5bZruBITFInEf2E3floQNHiTyCUTZB1yJOyu47l//a0Uc\n"
                                              "o6R+7bAyTTH9w8RufqEidm0iEuA5RtI3ypTzPaKAgYg2/lS091BYtxK+ka2b5ueqbm/mk2\n"
                                              "hiwOPBqw1tDmgDA9RKdVQvUoBr6BML8CyAvcHwGfOVbAzWJhh3drcYewQF7d5IJy18vlGK\n"
                                              "qMPWtNsjxDDf9EK2MFClFE6U0OLyhsCOtzuClfwNXPh2rMlrcLaAG0G4ailnzmp457QVmd\n"
                                              "RmVrShj+5QAAA8CnokR/p6JEfwAAAAdzc2gtcnNhAAABAQCqA0rb//wS0mTEWAbFb+VYIg\n"
                                              "3Juqvu+NtvyYfTt6YxdT6UcJLZ/WB8q4NWm4waQRJVdd2LcY/u334zltmu4EhMUicR/YTd\n"
                                              "+WhA0eJPIJRNkHXIk7K7juX/9rRRyjpH7tsDJNMf3DxG5+oSJ2bSIS4DlG0jfKlPM9ooCB\n"
                                              "iDb+VLT3UFi3Er6RrZvm56pub+aTaGLA48GrDW0OaAMD1Ep1VC9SgGvoEwvwLIC9wfAZ85\n"
                                              "VsDNYmGHd2txh7BAXt3kgnLXy+UYqow9a02yPEMN/0QrYwUKUUTpTQ4vKGwI63O4KV/A1c\n"
                                              "+HasyWtwtoAbQbhqKWfOanjntBWZ1GZWtKGP7lAAAAAwEAAQAAAQAQeWIzIEJ+VmnSRs9d\n"
                                              "KWMZX69jWVXYwb+NvQMO5nBRwZEvVBs+yVkkq3/+D/OLBbwvkMzHetkeJgT2Hct5MR2AW8\n"
                                              "OScDUER2stQMlDrp4ASBvJtFow539tBqxhco2kM8aALvzQTQiAPG/Hk47YlMN/ME5FDorf\n"
                                              "dGBS2bn6Xoji+6b+XlPl9L37Xw0/lL009tDIUJ3VY3DeQs7n/DQUgx132+Zg6wxwGhjs1K\n"
                                              "nbLyv6zX6OD+PveSiv2ReIAIcNcpqA76bzqSNyhQNV++7ososjayDnM/P6rl6/8RL/44KL\n"
                                              "UbRdZy3367mPpOYofG+a2EsgdiUZJg2Wu7i6IAGqcsKfAAAAgHalUwNTsjajQz68CVr73M\n"
                                              "MxRKfJxqM5oV1dwgiHt4Dxej5T3/xmX+qv2IoRgR2v3sJVaFJzS4iPfddLgcWMNCqGIwH3\n"
                                              "p3Y4XD89yAiuJLagRsKEKtT9Y5XF6IRpGWFiWQGgc0AbUC0yqug7nYB1lakQwsHr9vKNR9\n"
                                              "Vl1yALxNWDAAAAgQDjxphe3jtCc1IJPQqyitC0TnmeEInzURq1AIBF5XSsrR598iCOJL3d\n"
                                              "V8dKN9ZFKUaowo4/gpQxfG3vjrcLJh+Zl65boaknzAOjR3r8S4iBapXF8TufUJIDX7Ky41\n"
                                              "/7Zwp6C8DOUJARsr0UeF+aRf4CseZHpabsHoBq0o/FvOVQ1wAAAIEAvxReBy+kIfbrbuj/\n"
                                              "CawsJADwAii7hVwfeyL3QUuEkqggEAQnDjsq9/hBjyXVOBS4TPMBr3A2xCAz64BU63nZjH\n"
                                              "R0NjqDky2aJFHpfeF3MM5LoZD6RI+LrbzxlWQ/2QggTQCA7LEIGggY7pidzdXHl71aooCy\n"
                                              "+6TXZ6FBq6ke6qMAAAAIcnNhQHRlc3QBAgM=\n"
                                              "-----END OPENSSH PRIVATE KEY-----\n";
UNUSED static const char test_rsa_public[] =
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCqA0rb//wS0mTEWAbFb+VYIg3Juqvu+NtvyYfTt6YxdT6UcJLZ/WB8q4NWm4waQRJVdd2LcY"
    "/u334zltmu4EhMUicR/YTd+WhA0eJPIJRNkHXIk7K7juX/9rRRyjpH7tsDJNMf3DxG5+oSJ2bSIS4DlG0jfKlPM9ooCBiDb+VLT3UFi3Er6RrZ"
    "vm56pub+aTaGLA48GrDW0OaAMD1Ep1VC9SgGvoEwvwLIC9wfAZ85VsDNYmGHd2txh7BAXt3kgnLXy+UYqow9a02yPEMN/0QrYwUKUUTpTQ4vKG"
    "wI63O4KV/A1c+HasyWtwtoAbQbhqKWfOanjntBWZ1GZWtKGP7l rsa@test";
UNUSED static const char test_ca_public[] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEszKc0eoXqJUrBD2QShHB37GT/9TFlNviz3LDw5I1la ca";
UNUSED static const char test_ca_private[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                             "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
                                             "QyNTUxOQAAACBLMynNHqF6iVKwQ9kEoRwd+xk//UxZTb4s9yw8OSNZWgAAAIhz8pvdc/Kb\n"
                                             "3QAAAAtzc2gtZWQyNTUxOQAAACBLMynNHqF6iVKwQ9kEoRwd+xk//UxZTb4s9yw8OSNZWg\n"
                                             "AAAEBqOX461C7wBx7VOoNNjFVDLwuHchijn/64RwHYE4uddUszKc0eoXqJUrBD2QShHB37\n"
                                             "GT/9TFlNviz3LDw5I1laAAAAAmNhAQID\n"
                                             "-----END OPENSSH PRIVATE KEY-----\n";
UNUSED static const char test_ed_enc[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                         "b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABCuMrzGc5\n"
                                         "aCANTzQiOmlMKmAAAAAgAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIA2q4RIkgzrT505u\n"
                                         "jlYftPdiMSpokuH2UUS82T0U/1ybAAAAkKzQNKWl5+mZgyMqC5O1laDqdVUmeAcSr1z+rF\n"
                                         "oIXenycGh6R7RGXgYVNiIgw7AUVczU67ksx4Lk+Yi+TMVlo5PCDrhfXrGvMRydNHW7C5Bx\n"
                                         "iOQ9ixwchvTzv1jnh3O/0bVvr0OUZDqbTDAJo6b0nKwNRYEEgdxjfIDfRGMTuQCRaVCR29\n"
                                         "qTPbj8QI7ceaIFVg==\n"
                                         "-----END OPENSSH PRIVATE KEY-----\n";
UNUSED static const char test_ed_gcm[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                         "b3BlbnNzaC1rZXktdjEAAAAAFmFlczI1Ni1nY21Ab3BlbnNzaC5jb20AAAAGYmNyeXB0AA\n"
                                         "AAGAAAABCOz2ZnK8QNH0KhDOYAWzt3AAAAAQAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAA\n"
                                         "IA2q4RIkgzrT505ujlYftPdiMSpokuH2UUS82T0U/1ybAAAAkArnYcmgyoBP0Dkmzv/8Ul\n"
                                         "qSbmSdEB+xxTXuhknhyd2pXVoQqR31cMRC7QMB4k+wObrYBb5K8VTB+9ZT4fskuhlgRf3z\n"
                                         "+OS1rReCqSVzkHBSy0qBdoXkGR+fc/z3eOSxokSYatqoXdRxSJEUOJ8Jyjwl89PlroCUiV\n"
                                         "Ezl2YSXr0EPlUQbkBokrZvb+IxYHHlgp2ixOhKcjfX8Vg2KqpbADU=\n"
                                         "-----END OPENSSH PRIVATE KEY-----\n";
UNUSED static const char test_ed_chacha[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                            "b3BlbnNzaC1rZXktdjEAAAAAHWNoYWNoYTIwLXBvbHkxMzA1QG9wZW5zc2guY29tAAAABm\n"
                                            "JjcnlwdAAAABgAAAAQYJTKTJVzZzlF5P2rT91SgAAAAAEAAAABAAAAMwAAAAtzc2gtZWQy\n"
                                            "NTUxOQAAACANquESJIM60+dObo5WH7T3YjEqaJLh9lFEvNk9FP9cmwAAAJCENtpUMIJ/Yo\n"
                                            "GJNoxE9G4ENacGj/un3OgD0Nx3gz6XiLMbFnMUkWPrV9VYYeHPNlIl/zM2US5pajjjdCxd\n"
                                            "C8oAkvi1C6rM5/oWr273ViiY1sbe+Xwzi8oaBJgKINcPwBKnXAnVLIwhXC89h72FwR9Dqx\n"
                                            "tQoDd27zqOl66x2O+0Qx6zKZKHbn0fDiOVKfR9e+Z6FTomKkUOh6S/xJFYxF1W\n"
                                            "-----END OPENSSH PRIVATE KEY-----\n";
UNUSED static const char test_ed_cbc[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
                                         "b3BlbnNzaC1rZXktdjEAAAAACmFlczEyOC1jYmMAAAAGYmNyeXB0AAAAGAAAABC8JYI+Cn\n"
                                         "A+6hNj3/Ii0exkAAAAAQAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIA2q4RIkgzrT505u\n"
                                         "jlYftPdiMSpokuH2UUS82T0U/1ybAAAAkGofVTrELAk2eJh5zXmoDlDLG04ZrK1F77j5cL\n"
                                         "vwHGCqi/9olowTiEpI6AmGOvH1wme0LcptIa8mfcp8OL7euR2yvqZEyAT7JDzxouOPCY4G\n"
                                         "/T4/2ZcgeOISJmQ/3eBtkVgQgVVmZwEY5qeFMK0UtGOfYvL3LiBIyMmZ8amNH3qR8sh4jt\n"
                                         "hbUmV2uVahlJSt3A==\n"
                                         "-----END OPENSSH PRIVATE KEY-----\n";
UNUSED static const char test_rsa_pem[] = "-----BEGIN RSA PRIVATE KEY-----\n"
                                          "MIIEogIBAAKCAQEAqgNK2//8EtJkxFgGxW/lWCINybqr7vjbb8mH07emMXU+lHCS\n"
                                          "2f1gfKuDVpuMGkESVXXdi3GP7t9+M5bZruBITFInEf2E3floQNHiTyCUTZB1yJOy\n"
                                          "u47l//a0Uco6R+7bAyTTH9w8RufqEidm0iEuA5RtI3ypTzPaKAgYg2/lS091BYtx\n"
                                          "K+ka2b5ueqbm/mk2hiwOPBqw1tDmgDA9RKdVQvUoBr6BML8CyAvcHwGfOVbAzWJh\n"
                                          "h3drcYewQF7d5IJy18vlGKqMPWtNsjxDDf9EK2MFClFE6U0OLyhsCOtzuClfwNXP\n"
                                          "h2rMlrcLaAG0G4ailnzmp457QVmdRmVrShj+5QIDAQABAoIBABB5YjMgQn5WadJG\n"
                                          "z10pYxlfr2NZVdjBv429Aw7mcFHBkS9UGz7JWSSrf/4P84sFvC+QzMd62R4mBPYd\n"
                                          "y3kxHYBbw5JwNQRHay1AyUOungBIG8m0WjDnf20GrGFyjaQzxoAu/NBNCIA8b8eT\n"
                                          "jtiUw38wTkUOit90YFLZufpeiOL7pv5eU+X0vftfDT+UvTT20MhQndVjcN5Czuf8\n"
                                          "NBSDHXfb5mDrDHAaGOzUqdsvK/rNfo4P4+95KK/ZF4gAhw1ymoDvpvOpI3KFA1X7\n"
                                          "7uiyiyNrIOcz8/quXr/xEv/jgotRtF1nLffruY+k5ih8b5rYSyB2JRkmDZa7uLog\n"
                                          "Aapywp8CgYEA48aYXt47QnNSCT0KsorQtE55nhCJ81EatQCAReV0rK0effIgjiS9\n"
                                          "3VfHSjfWRSlGqMKOP4KUMXxt7463CyYfmZeuW6GpJ8wDo0d6/EuIgWqVxfE7n1CS\n"
                                          "A1+ysuNf+2cKegvAzlCQEbK9FHhfmkX+ArHmR6Wm7B6AatKPxbzlUNcCgYEAvxRe\n"
                                          "By+kIfbrbuj/CawsJADwAii7hVwfeyL3QUuEkqggEAQnDjsq9/hBjyXVOBS4TPMB\n"
                                          "r3A2xCAz64BU63nZjHR0NjqDky2aJFHpfeF3MM5LoZD6RI+LrbzxlWQ/2QggTQCA\n"
                                          "7LEIGggY7pidzdXHl71aooCy+6TXZ6FBq6ke6qMCgYB0MaMZAhUI2PtIazNB0T6W\n"
                                          "PFIeKCG3VfBh1VeaUGssi0O6zAF/gY65k0W+vq03qs642EbobxxaAjeytQL7VP9Z\n"
                                          "wt7XL6iy/If+i0BZ485G9rBgwabApsFVp0PprcQQ44ecqtI4bTCRVrTN9HoQoRPr\n"
                                          "HAV1FzQHz6eC1tcw8COrEQKBgEbRJJwjMwCHg/AiGEucbOuXEVyrffxKDTzU07B2\n"
                                          "bZbxCpkFAPiMQzuN3bZQ/jn/q+KQ+aHsw89iY/u3H0H6cf9VNbDXdOY6M3OcjB3k\n"
                                          "Twlem7cwhSCd1tW4PgzxD5y/H0GKmz2dyvPi5mKfW3Tq80MwoYOykSMkj9TPdghJ\n"
                                          "8LRjAoGAdqVTA1OyNqNDPrwJWvvcwzFEp8nGozmhXV3CCIe3gPF6PlPf/GZf6q/Y\n"
                                          "ihGBHa/ewlVoUnNLiI9910uBxYw0KoYjAfendjhcPz3ICK4ktqBGwoQq1P1jlcXo\n"
                                          "hGkZYWJZAaBzQBtQLTKq6DudgHWVqRDCwev28o1H1WXXIAvE1YM=\n"
                                          "-----END RSA PRIVATE KEY-----\n";
UNUSED static const char test_ec_p8[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                        "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjvR2IYyfUP6QICCAAw\n"
                                        "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEECwP6Yl/5BY620yebaPrtvMEgZCM\n"
                                        "eussNDLFjgQChte/RW348gcfqKpoKJ6bxPzpitzwhI1zOUzf0lnk7BeUs5dSNRTp\n"
                                        "e50LZKYdJFNo2WJTEz90+IntxSBuk1QkN/8A2N8X6CkWxVXx77PqdfKOQdRShz9l\n"
                                        "KfOyGWI09Gizpw64XgxcHz0U7/SUy1UoznUrNzfG7nQTrpxffGE/KFsRgoJRwV4=\n"
                                        "-----END ENCRYPTED PRIVATE KEY-----\n";
UNUSED static const char test_ed25519_cert[] =
    "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIEaO2kPr1t2ZP/MojBj21yOOx"
    "XcQSSKOUBVsmC8ewBLbAAAAIA2q4RIkgzrT505ujlYftPdiMSpokuH2UUS82T0U/1ybAAAAAAAAAE0AAAABAAAAB3VzZXIgaWQAAAAQAAAABWF"
    "saWNlAAAAA2JvYgAAAABeC+EAAAAAAHDb2IAAAABOAAAADWZvcmNlLWNvbW1hbmQAAAANAAAACS9iaW4vdHJ1ZQAAAA5zb3VyY2UtYWRkcmVzc"
    "wAAABYAAAASMTAuMC4wLjAvOCw6OjEvMTI4AAAAcAAAABVwZXJtaXQtWDExLWZvcndhcmRpbmcAAAAAAAAAF3Blcm1pdC1hZ2VudC1mb3J3YXJ"
    "kaW5nAAAAAAAAABZwZXJtaXQtcG9ydC1mb3J3YXJkaW5nAAAAAAAAAA5wZXJtaXQtdXNlci1yYwAAAAAAAAAAAAAAMwAAAAtzc2gtZWQyNTUxO"
    "QAAACBLMynNHqF6iVKwQ9kEoRwd+xk//UxZTb4s9yw8OSNZWgAAAFMAAAALc3NoLWVkMjU1MTkAAABAhsJ+IeGbp7f0h6SVNAEKNfbDQzC+SlG"
    "Y5v8lajHX9SxvMAx+jNcv65FZSYNEXjmTzjxYGhkpYpZ0EfchvR8FBA== ed25519@test";
UNUSED static const char test_ecdsa_cert[] =
    "ecdsa-sha2-nistp256-cert-v01@openssh.com AAAAKGVjZHNhLXNoYTItbmlzdHAyNTYtY2VydC12MDFAb3BlbnNzaC5jb20AAAAg9UM+g"
    "AEZ/7QSNQyAxwqV7K97qdT49cwILJDuhaQcUfwAAAAIbmlzdHAyNTYAAABBBKbm6OLMyrREUvD6I/71givRgUuV92/LKHYEkyLnxfIcxbY/LXe"
    "7bNWQ4+CWfxuPUXFqUGPZOtYC15hAngZpzFsAAAAAAAAAAAAAAAIAAAAEaG9zdAAAAA4AAAAKaDEuZXhhbXBsZQAAAAAAAAAA//////////8AA"
    "AAAAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIEszKc0eoXqJUrBD2QShHB37GT/9TFlNviz3LDw5I1laAAAAUwAAAAtzc2gtZWQyNTU"
    "xOQAAAECq+QX5maBJCTOv0C6cOW3uheNDyIX6WwJ4MslrDTtIowzYfA2NnfToXBMLOqXSQV0K0es3FHMQ2e6nEUdIXqwL ecdsa@test";
UNUSED static const char test_rsa_cert[] =
    "ssh-rsa-cert-v01@openssh.com AAAAHHNzaC1yc2EtY2VydC12MDFAb3BlbnNzaC5jb20AAAAgfvdxXwHE6E/CzaMs3B3N3o0Timavrgdrg"
    "oPRTum76M4AAAADAQABAAABAQCqA0rb//wS0mTEWAbFb+VYIg3Juqvu+NtvyYfTt6YxdT6UcJLZ/WB8q4NWm4waQRJVdd2LcY/u334zltmu4Eh"
    "MUicR/YTd+WhA0eJPIJRNkHXIk7K7juX/9rRRyjpH7tsDJNMf3DxG5+oSJ2bSIS4DlG0jfKlPM9ooCBiDb+VLT3UFi3Er6RrZvm56pub+aTaGL"
    "A48GrDW0OaAMD1Ep1VC9SgGvoEwvwLIC9wfAZ85VsDNYmGHd2txh7BAXt3kgnLXy+UYqow9a02yPEMN/0QrYwUKUUTpTQ4vKGwI63O4KV/A1c+"
    "HasyWtwtoAbQbhqKWfOanjntBWZ1GZWtKGP7lAAAAAAAAAAAAAAABAAAAB3JzYWNlcnQAAAAFAAAAAXgAAAAAAAAAAP//////////AAAAAAAAA"
    "IIAAAAVcGVybWl0LVgxMS1mb3J3YXJkaW5nAAAAAAAAABdwZXJtaXQtYWdlbnQtZm9yd2FyZGluZwAAAAAAAAAWcGVybWl0LXBvcnQtZm9yd2F"
    "yZGluZwAAAAAAAAAKcGVybWl0LXB0eQAAAAAAAAAOcGVybWl0LXVzZXItcmMAAAAAAAAAAAAAARcAAAAHc3NoLXJzYQAAAAMBAAEAAAEBAKoDS"
    "tv//BLSZMRYBsVv5VgiDcm6q+7422/Jh9O3pjF1PpRwktn9YHyrg1abjBpBElV13Ytxj+7ffjOW2a7gSExSJxH9hN35aEDR4k8glE2QdciTsru"
    "O5f/2tFHKOkfu2wMk0x/cPEbn6hInZtIhLgOUbSN8qU8z2igIGINv5UtPdQWLcSvpGtm+bnqm5v5pNoYsDjwasNbQ5oAwPUSnVUL1KAa+gTC/A"
    "sgL3B8BnzlWwM1iYYd3a3GHsEBe3eSCctfL5RiqjD1rTbI8Qw3/RCtjBQpRROlNDi8obAjrc7gpX8DVz4dqzJa3C2gBtBuGopZ85qeOe0FZnUZ"
    "la0oY/uUAAAEUAAAADHJzYS1zaGEyLTI1NgAAAQChz1nUOejBmwt9bz6+9br1AyKg1dNnlbBklH/rrGucj7NHEdf6vteFsErfE1s3BuSy3fcu7"
    "CKfMDpqqVQrwj/54eeyUWnoHIiQujOB82yAxHqcJjnyvAv6/955Dzdbptz98znFgulsT6cOa3VAoYPe91+CKIy84nq5MmIwkEv+mAdT7x3gFR0"
    "5qoeFDTQpppNYowNGh5qijZwyrWogMdSeVzckumnxq70EOOR89XCKFgN9p4lp//KwwokFBo6kfWX6M56QPmYcuUjIxsotQ13aUNJNW2FRM/B6H"
    "+E+DkTk2RzGBQGPNXsUi7Sg7CWMEtrIkb1bEAIF8lWrEFS4bMnj rsa@test";
UNUSED static const char test_signed_base64[] =
    "U1NIU0lHAAAABHRlc3QAAAAAAAAABnNoYTUxMgAAAEAAZBf+Cda6d+XMZBiGzMDrDTE97+3QTUN1jSDTDMV3qS5qqVi6fGL61LB39RAHiCp1fn"
    "5VXTEEZi7zoTpmRtkV";
UNUSED static const char test_ed25519_signature_base64[] =
    "AAAAC3NzaC1lZDI1NTE5AAAAQH5zRYjV2H3FYXKkf4Cq+WhffSMtcWLa35XjfrRt72bZFn1NiSBUpBeD+naLGd+2jekq2L7pMZ23vh9xro8ZTg"
    "c=";
UNUSED static const char test_ecdsa_signature_base64[] =
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAABJAAAAIExcASIgey1WWl5NyTZkoA+HPG4maDOlNVKJP4iqwh15AAAAIQC5x024BJUt3lTKJs0D8D"
    "qIWktxQbPDf7NMWTiwzB3uNQ==";
UNUSED static const char test_ecdsa384_signature_base64[] =
    "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAABoAAAAMHizkT8efecNr2Pg//h0xYZmTMEB3lRlcLe+/Hphj19M+5B1DEShA2w3bGtDAmfKSwAAAD"
    "Azpz/kngrjXHvz/VvzLxH7IO/LcnzTFkUnnufOhoQLF9GGKtArUGLFQQkbcWnmYMc=";
UNUSED static const char test_ecdsa521_signature_base64[] =
    "AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAACMAAAAQgFiXkGM5xbE53gGW76oiaRHIDac+INDeqgHHZQi2VmSoBLRhI/voCeqVQNzelGdkuPp3/"
    "CJhxtYpEs7ntJyQD58WAAAAEIAyfddcYx7kXnf1psGtQWzmYDED6MKgea84Fjutn0GZpLbpmEVFSgR43g6WUIJUczaGL6TzP5MZooO1VNY+0SH"
    "X/s=";
UNUSED static const char test_rsa_signature_base64[] =
    "AAAADHJzYS1zaGEyLTUxMgAAAQBXkZR242OCIr0Hrr3AbhIJSBr/LC4sgebUxSsOeo/lcclywteGGwHW6dfjpnmeArgkOkQq4epzNvJA23ooFA"
    "WnAGkrYxoimVRTFwDz0jyDbHDoxYDS4pSt1OIFY7EyGobGyKmEYNlPyxbmkyh2HGp9robT60xQWV6LG+pnwAUlf3LXqCY74B6EcwKlf5/cc6Rf"
    "3OaIvWVMiDaN58K+yCuT3Lw5QxXvqHC1hIGxWDojSEJz6Nra4u26/AVAKwIazFFqYLYG51EmhjzrKng6LMcR0Uck6YWAmYvwzG9l/03HwJFPsz"
    "ltMqRpmkWIOazpXXBe+/OoyVUxFwfZmOWwYBqV";
UNUSED static const char test_ed25519_sha256[] = "SHA256:ywwklmkGGvlSXu5yjqNlSWXQvz8ymnx1SVVQMqTcD5I";
UNUSED static const char test_ed25519_md5[] = "MD5:17:ee:f8:79:90:12:60:c6:5c:d9:18:7a:22:75:d8:6f";
UNUSED static const char test_ed25519_art[] = "+--[ED25519 256]--+\n"
                                              "|..o.       .=+o  |\n"
                                              "|.o.ooo   . +.o   |\n"
                                              "|.+ oX..   E.o    |\n"
                                              "|. o*.o.   .. o   |\n"
                                              "| ...  ..S. .  .  |\n"
                                              "| ...o .+..o      |\n"
                                              "|  +=   o+.       |\n"
                                              "| oo...+ o        |\n"
                                              "|.. .+o o .       |\n"
                                              "+----[SHA256]-----+";
UNUSED static const char test_ed25519_babble[] = "xuted-kibet-godyp-lehyb-cerof-pefyl-rozur-vupob-hicat-kodus-gixix";
UNUSED static const char test_ecdsa_sha256[] = "SHA256:OFLTHqcU0TKcxpsoJG8NSLbbFiRh5LU7BdTeh71P3t4";
UNUSED static const char test_ecdsa_md5[] = "MD5:16:95:dc:91:fe:d9:62:83:14:b1:c0:c0:06:70:26:99";
UNUSED static const char test_ecdsa_art[] = "+---[ECDSA 256]---+\n"
                                            "| oB+=. oo+       |\n"
                                            "| +o=oo..B..      |\n"
                                            "|  o+o++++B.      |\n"
                                            "|   o+=+==+o      |\n"
                                            "|  ..*.o S. .     |\n"
                                            "|   . o .  . .    |\n"
                                            "|           + .   |\n"
                                            "|            o .. |\n"
                                            "|             .. E|\n"
                                            "+----[SHA256]-----+";
UNUSED static const char test_ecdsa_babble[] = "xirip-govat-guhun-dedat-hyzud-nufeg-mococ-kubak-dopek-fadyp-caxax";
UNUSED static const char test_ecdsa384_sha256[] = "SHA256:K9Wne4/AKvchlyihMwiSLfDSOdbR/csS+RDKokiIcqQ";
UNUSED static const char test_ecdsa384_md5[] = "MD5:84:36:db:98:b2:7b:17:c8:94:be:e3:c9:40:2d:ce:58";
UNUSED static const char test_ecdsa384_art[] = "+---[ECDSA 384]---+\n"
                                               "|                 |\n"
                                               "|     . .         |\n"
                                               "|. . . . o        |\n"
                                               "|+B o o . =       |\n"
                                               "|E.O o + S o .    |\n"
                                               "|+B + o o O =     |\n"
                                               "|. o + o = @      |\n"
                                               "|     o.o.= +..   |\n"
                                               "|       o..o....  |\n"
                                               "+----[SHA256]-----+";
UNUSED static const char test_ecdsa384_babble[] = "xodec-nemiv-gyles-megag-hemig-naran-hyzim-suhod-hivin-noveh-zixix";
UNUSED static const char test_ecdsa521_sha256[] = "SHA256:w3sZ/qnzD6NqyP0BsZSQgNiFBkLxXv5R3b2e7BKCpaI";
UNUSED static const char test_ecdsa521_md5[] = "MD5:6d:69:2e:2a:70:62:4a:93:95:6e:f7:93:3d:c5:eb:45";
UNUSED static const char test_ecdsa521_art[] = "+---[ECDSA 521]---+\n"
                                               "|+*.+o...         |\n"
                                               "|o *   .. .. . .  |\n"
                                               "| . . .  +. . . . |\n"
                                               "|  . o  o.o .    .|\n"
                                               "|   . . .S =    . |\n"
                                               "|      ...B + .o .|\n"
                                               "|     ..+o = + .+ |\n"
                                               "|     Eo o..+ =.  |\n"
                                               "|       ..o+++.o. |\n"
                                               "+----[SHA256]-----+";
UNUSED static const char test_ecdsa521_babble[] = "xipac-cozas-padab-bopol-gazit-dirav-sobyl-dorov-hehip-purat-pixyx";
UNUSED static const char test_rsa_sha256[] = "SHA256:O6dl+JemUe04vM0qCxT2yy9re27xhVBzytkrxb7ofSY";
UNUSED static const char test_rsa_md5[] = "MD5:65:6a:14:fb:d1:67:64:5b:25:fe:86:d4:b4:fd:9d:8f";
UNUSED static const char test_rsa_art[] = "+---[RSA 2048]----+\n"
                                          "|                 |\n"
                                          "|              o .|\n"
                                          "|        o    o.* |\n"
                                          "|       . o  ..+o.|\n"
                                          "|        S . ..+..|\n"
                                          "|       . + +.+.o.|\n"
                                          "|        = B +++..|\n"
                                          "|         O+o**E.o|\n"
                                          "|        ..*&*oo+.|\n"
                                          "+----[SHA256]-----+";
UNUSED static const char test_rsa_babble[] = "xugez-zuzyl-lutos-lunaf-zubad-dugin-rakag-tonic-kitic-fevas-nuxix";
