<?php

/**
 * Who asks is whom the relay names: nobody else can, for it takes such a header out of what clients send.
 */
class auth_plugin_authpostern extends DokuWiki_Auth_Plugin
{
    public function __construct()
    {
        parent::__construct();
        $this->cando['external'] = true;
    }

    public function trustExternal($user, $pass, $sticky = false)
    {
        global $USERINFO;
        $login = $_SERVER['HTTP_X_POSTERN_USER'] ?? '';
        if ($login === '') {
            return false;
        }
        $USERINFO = ['name' => $_SERVER['HTTP_X_POSTERN_NAME'] ?? $login, 'mail' => '', 'grps' => ['user']];
        $_SERVER['REMOTE_USER'] = $login;
        $_SESSION[DOKU_COOKIE]['auth'] = ['user' => $login, 'info' => $USERINFO];
        return true;
    }
}
